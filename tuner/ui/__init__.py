"""The page: one file a cell, plus shell, plots, theme. The only room that imports gradio."""
