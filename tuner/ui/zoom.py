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

  function meet(made) {
    const full = made._fullLayout;
    if (met.has(made) || !full?.xaxis || !made.on) return;
    met.add(made);
    const {uirevision, meta} = made.layout;
    const key = JSON.stringify([uirevision, meta, full.xaxis.type, full.yaxis?.type]);
    const before = kept.get(key);
    if (before && window.Plotly) window.Plotly.relayout(made, {...before});
    made.on('plotly_relayout', (change) => {
      const view = {...kept.get(key)};
      for (const [name, value] of Object.entries(change)) {
        const axis = /^([xy]axis\d*)\.(range|autorange)/.exec(name)?.[1];
        if (!axis) continue;
        if (!name.includes('[')) delete view[axis + '.range[0]'], delete view[axis + '.range[1]'];
        if (name.endsWith('.autorange')) delete view[axis + '.range'];
        view[name] = value;
        if (!name.endsWith('.autorange')) delete view[axis + '.autorange'];
      }
      kept.set(key, view);
    });
  }

  const plots = document.getElementsByClassName('js-plotly-plot');
  new MutationObserver(() => { for (const made of plots) meet(made); })
    .observe(document.body, {childList: true, subtree: true});
}
"""
