"""How the page looks: system fonts, one accent colour, a spacing scale, light and dark."""

from __future__ import annotations

from typing import Any, Final

import gradio as gr

#: The accent, and the two curves. Chosen to stand on white and on near-black alike.
ACCENT: Final = "#4f57d9"
TRAIN: Final = "#4f57d9"
EVAL: Final = "#e8743b"
LOST: Final = "#d9534f"
MUTED: Final = "#8a8f98"

_SANS: Final = ["system-ui", "-apple-system", "Segoe UI", "PingFang SC", "Microsoft YaHei",
                "Noto Sans CJK SC", "sans-serif"]  # fmt: skip
_MONO: Final = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]


def theme() -> Any:
    """Gradio's base theme with system fonts (no font is fetched) and our accent."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.indigo,
        neutral_hue=gr.themes.colors.slate,
        font=_SANS,
        font_mono=_MONO,
        radius_size=gr.themes.sizes.radius_md,
        spacing_size=gr.themes.sizes.spacing_md,
    ).set(
        button_primary_background_fill=ACCENT,
        button_primary_background_fill_hover="#3f46bd",
        button_primary_background_fill_dark=ACCENT,
        button_primary_background_fill_hover_dark="#6a71e8",
        slider_color=ACCENT,
        slider_color_dark=ACCENT,
        # The base theme's grey texts do not reach a contrast of 4.5.
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        block_info_text_color="*neutral_500",
        block_info_text_color_dark="*neutral_400",
        block_label_text_color="*neutral_600",
        block_title_text_color="*neutral_700",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
    )


CSS: Final = """
:root { --t-1: 4px; --t-2: 8px; --t-3: 16px; --t-4: 24px; --t-5: 40px; }
.gradio-container { max-width: 1120px !important; margin: 0 auto !important; }
.gradio-container footer { display: none !important; }

#strip { align-items: center; gap: var(--t-3); margin-bottom: var(--t-2); flex-wrap: nowrap; }
#strip .machine { color: var(--body-text-color-subdued); font-size: 13px;
  font-variant-numeric: tabular-nums; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
#strip > .block { width: auto; }
#lang { min-width: 190px !important; flex: 0 0 auto !important; padding: 0; }
#lang .wrap { flex-wrap: nowrap; justify-content: flex-end; }
#lang label { padding: 4px 10px; font-size: 13px; white-space: nowrap; }
.act { align-self: flex-end !important; min-height: 42px; height: 42px; }
.html-container { padding: 0 !important; }
.block:has(.prose:empty) { display: none; }

.hero h1 { font-size: 27px; line-height: 1.15; font-weight: 680; letter-spacing: -.02em; margin: 0 0 var(--t-1); }
.hero p { color: var(--body-text-color-subdued); font-size: 16px; margin: 0; max-width: 62ch; }
#hero { border: 1px solid var(--border-color-primary); border-radius: 14px; padding: var(--t-4) !important;
  background: linear-gradient(135deg, color-mix(in srgb, #4f57d9 9%, var(--background-fill-primary)), var(--background-fill-primary) 62%); }
#try { min-height: 46px; font-size: 16px; }

.cell { border: 1px solid var(--border-color-primary); border-radius: 14px; padding: var(--t-3) var(--t-4) var(--t-4) !important;
  background: var(--background-fill-primary); margin-top: var(--t-3); }
.cell-head { display: grid; grid-template-columns: 44px 1fr; align-items: baseline; }
.cell-head .n { font-family: var(--font-mono); color: #4f57d9; font-size: 14px; }
.dark .cell-head .n { color: #979df5; }
.cell-head h2 { font-size: 19px; font-weight: 640; margin: 0; letter-spacing: -.01em; }
.cell-head p { grid-column: 2; margin: 2px 0 0; color: var(--body-text-color-subdued); font-size: 14px; }
.cell .block, .cell .form { box-shadow: none; }

.note { border-radius: 8px; padding: 8px 12px; font-size: 14px; line-height: 1.5; overflow-wrap: anywhere; }
.note.busy { background: color-mix(in srgb, #4f57d9 12%, transparent); }
.note.error { background: color-mix(in srgb, #d9534f 14%, transparent); border-left: 3px solid #d9534f; }
.note.warn { background: color-mix(in srgb, #e8a13b 16%, transparent); border-left: 3px solid #e8a13b; margin-top: 6px; }
.note.ok { background: color-mix(in srgb, #3c9d6b 13%, transparent); border-left: 3px solid #3c9d6b; }
.note .bar { height: 4px; border-radius: 2px; background: color-mix(in srgb, #4f57d9 22%, transparent); margin-top: 6px; overflow: hidden; }
.note .bar i { display: block; height: 100%; background: #4f57d9; transition: width .3s; }
.empty { color: var(--body-text-color-subdued); font-size: 14px; border: 1px dashed var(--border-color-primary);
  border-radius: 8px; padding: var(--t-3); }

.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(132px, 1fr)); gap: var(--t-2) var(--t-3); margin: 0; }
.facts div { min-width: 0; }
.facts dt { font-size: 12px; color: var(--body-text-color-subdued); margin: 0; }
.facts dd { margin: 0; font-size: 16px; font-weight: 560; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.facts dd small { font-weight: 400; color: var(--body-text-color-subdued); font-size: 12px; display: block; }

.prose table.t, .prose table.t tr, .prose table.t thead, .prose table.t tbody { border: 0 !important; }
.prose table.t { width: 100%; border-collapse: collapse; font-size: 14px; margin: 0; }
.prose table.t th, .prose table.t td { border: 0; border-bottom: 1px solid var(--border-color-primary); background: none;
  text-align: left; padding: 6px 12px 6px 0 !important; vertical-align: top; overflow-wrap: anywhere; }
.prose table.t th { font-weight: 560; font-size: 12px; color: var(--body-text-color-subdued); }
.prose table.t .num { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.prose table.t .num:last-child { padding-right: 0; }
#demo-answers table.t { table-layout: fixed; }
#demo-answers table.t th:first-child { width: 18%; }
#demo-answers table.t td:last-child { color: var(--body-text-color); font-weight: 560; }
.scroll { overflow-x: auto; width: 0; min-width: 100%; }

.chat { display: flex; flex-direction: column; gap: 6px; padding: var(--t-2) 0; border-bottom: 1px dashed var(--border-color-primary); }
.chat:last-child { border-bottom: 0; }
.bubble { max-width: 82%; padding: 7px 12px; border-radius: 12px; font-size: 14px; line-height: 1.5; white-space: pre-wrap; overflow-wrap: anywhere; }
.bubble.user { align-self: flex-end; background: color-mix(in srgb, #4f57d9 15%, transparent); border-bottom-right-radius: 3px; }
.bubble.assistant { align-self: flex-start; background: var(--background-fill-secondary); border-bottom-left-radius: 3px; }
.bubble.system, .bubble.tool { align-self: center; font-size: 12px; color: var(--body-text-color-subdued); border: 1px dashed var(--border-color-primary); }
.preview { max-height: 380px; overflow-y: auto; }
.who { font-size: 12px; font-weight: 600; color: var(--body-text-color-subdued); margin-bottom: 4px; }
.answer { min-height: 84px; border: 1px solid var(--border-color-primary); border-radius: 10px; padding: 10px 12px;
  white-space: pre-wrap; overflow-wrap: anywhere; font-size: 15px; line-height: 1.55; }
.answer.tuned { border-color: #4f57d9; }

.advice { display: grid; grid-template-columns: 84px 1fr; gap: 2px var(--t-3); font-size: 13.5px; line-height: 1.45; padding: 4px 0; }
.advice b { font-variant-numeric: tabular-nums; font-size: 15px; overflow-wrap: anywhere; }
.advice.text { grid-template-columns: 1fr; }
.advice .src { color: var(--body-text-color-subdued); font-size: 12px; }
.advice .off { color: #9a4416; font-size: 12px; font-weight: 600; }
.dark .advice .off { color: #f0a26f; }
.knob { align-items: center; border-bottom: 1px solid var(--border-color-primary); padding: 8px 0; gap: var(--t-3) !important; }
.knob .form, .knob .block { padding: 0 !important; border: 0 !important; background: transparent !important; overflow: visible !important; }
.knob .form { gap: 0; }

#rail .wrap { flex-direction: column; }
#rail label { width: 100%; font-size: 13px; line-height: 1.35; white-space: normal; }
.pill { display: inline-block; padding: 1px 9px; border-radius: 999px; font-size: 13px; font-weight: 600;
  background: color-mix(in srgb, #8a8f98 22%, transparent); }
.pill.training, .pill.evaluating, .pill.saving, .pill.preparing, .pill.downloading, .pill.waiting { background: color-mix(in srgb, #4f57d9 24%, transparent); }
.pill.finished { background: color-mix(in srgb, #3c9d6b 28%, transparent); }
.pill.failed, .pill.lost { background: color-mix(in srgb, #d9534f 28%, transparent); }
.progress { height: 8px; border-radius: 4px; background: color-mix(in srgb, #4f57d9 16%, transparent); overflow: hidden; margin: 10px 0; }
.progress i { display: block; height: 100%; background: #4f57d9; transition: width .4s; }
.plain { border: 0 !important; background: transparent !important; padding: 0 !important; }
.log textarea { font-family: var(--font-mono); font-size: 12px; }
@media (max-width: 640px) {
  .cell { padding: var(--t-3) !important; }
  #hero { padding: var(--t-3) !important; }
  .hero h1 { font-size: 24px; }
  .cell-head { grid-template-columns: 34px 1fr; }
  #strip { flex-wrap: wrap; }
  #strip .machine { white-space: normal; padding-left: 18px; }
  .act { width: 100%; flex: 1 1 100% !important; }
  .gradio-container .contain { padding: 0; }
  .app { padding: var(--t-2) !important; }
  .knob { flex-direction: column; align-items: stretch; gap: 2px !important; }
}
#axes { margin: 0; }
#offer table.t th.num { white-space: normal; overflow-wrap: normal; word-break: keep-all; vertical-align: bottom; }
@media (max-width: 640px) { #offer table.t th, #offer table.t td { padding-right: 6px !important; font-size: 12px; } #offer table.t th.num { font-size: 11px; } }
#axes label { padding: 4px 10px; font-size: 13px; }
#lengths-plot .on-line .draglayer * { cursor: ew-resize !important; }
.dragging-line, .dragging-line * { cursor: ew-resize !important; user-select: none; }
"""
