"""The reader's zoom, kept while figures come anew.

Gradio makes a plot anew for each figure, so Plotly's own ``uirevision`` has
nothing to keep. Here the browser remembers what was zoomed for each
``uirevision`` (and kind of axis) and puts it back.
"""

from __future__ import annotations

from typing import Final

#: To be run once, when the page is open.
JS: Final = r"""
() => {
  const kept = new Map(), met = new WeakSet();

  const axes = (full) => Object.entries(full).filter(([name]) => /^[xy]axis\d*$/.test(name));

  function meet(made) {
    const full = made._fullLayout;
    if (met.has(made) || !full?.xaxis || !made.on) return;
    met.add(made);
    // Another kind of axis, or other ends than the reader zoomed from, is another picture.
    const ends = axes(full).map(([name, axis]) => [name, axis.type, axis.autorange || axis.range]);
    const key = JSON.stringify([full.uirevision, made.layout.meta, ends]);
    if (kept.has(key) && window.Plotly) window.Plotly.relayout(made, {...kept.get(key)});
    made.on('plotly_relayout', (change) => {
      if (!Object.keys(change).some((name) => /^[xy]axis/.test(name))) return;
      const zoomed = axes(made._fullLayout).filter(([, axis]) => !axis.autorange);
      kept.set(key, Object.fromEntries(zoomed.map(([n, axis]) => [n + '.range', [...axis.range]])));
    });
  }

  const plots = document.getElementsByClassName('js-plotly-plot');
  new MutationObserver(() => { for (const made of plots) meet(made); })
    .observe(document.body, {childList: true, subtree: true});
}
"""
