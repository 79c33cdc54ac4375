"""The max_length line of the histogram as a handle: what the browser does while it is dragged.

Plotly's own editable shapes also move up and down, need a click first and do
not follow a finger, so the pointer is followed here. The line moves at once;
when it is let go, the slider's box gets the number and an input event, as if
it had been typed, and everything else follows from there. Gradio makes the
plot anew for each figure, so nothing is kept of it: it is looked up each time.

``layout.meta`` says where on the axis a length lies (``Bins.knots``). A log
axis wants its annotations in powers of ten, its shapes in plain numbers.
"""

from __future__ import annotations

from typing import Final

#: To be run once, when the page is open.
JS: Final = """
() => {
  const REACH = {mouse: 7, pen: 12, touch: 22};  // pixels beside the line
  const LIVE = 120;  // milliseconds between two numbers that are sent while the line moves
  const STALE = 5000;  // milliseconds after which no figure of before is expected any more
  let drag = null;

  const plot = () => document.querySelector('#lengths-plot .js-plotly-plot');
  const box = () => document.querySelector('#max-length input[type=number]');
  const slider = () => document.querySelector('#max-length input[type=range]');
  const held = () => drag !== null && !drag.done;

  function between(x, xs, ys) {
    let i = 1;
    while (i < xs.length - 1 && x > xs[i]) i++;
    const run = xs[i] - xs[i - 1];
    const share = run > 0 ? Math.min(1, Math.max(0, (x - xs[i - 1]) / run)) : 1;
    return ys[i - 1] + share * (ys[i] - ys[i - 1]);
  }

  function line(event) {  // the plot, if the pointer is on its line or on the line's label
    const made = plot(), full = made && made._fullLayout, meta = made?.layout?.meta;
    if (!meta || !full?.xaxis || !full.shapes?.length || !made.contains(event.target)) return null;
    if (event.target.closest('.modebar, .legend')) return null;
    const frame = made.getBoundingClientRect(), axis = full.xaxis;
    const at = axis.d2p(full.shapes[0].x0), reach = REACH[event.pointerType] ?? REACH.mouse;
    const tag = made.querySelector('.infolayer .annotation')?.getBoundingClientRect();
    const y = event.clientY - frame.top - full._size.t;
    const onTag = tag && event.clientX >= tag.left - 4 && event.clientX <= tag.right + 4
      && event.clientY >= tag.top - 4 && event.clientY <= tag.bottom + 4;
    const onLine = at >= 0 && at <= axis._length + 1 && y >= 0 && y <= full._size.h
      && Math.abs(event.clientX - frame.left - axis._offset - at) <= reach;
    return onTag || onLine ? made : null;
  }

  function said(made) {  // the max_length that a figure is of
    return Number(made._fullLayout.annotations[0].text.replace(/[^0-9]/g, ''));
  }

  function draw() {
    const made = plot(), axis = made?._fullLayout?.xaxis, meta = made?.layout?.meta;
    if (!drag?.moved || !axis || !meta || !window.Plotly) return;
    drag.made = made;
    const x = between(drag.value + 0.5, meta.tokens, meta.places);
    const share = axis.d2p(x) / axis._length;
    window.Plotly.relayout(made, {
      'shapes[0].x0': x, 'shapes[0].x1': x, 'shapes[1].x0': x,
      'annotations[0].x': axis.type === 'log' ? Math.log10(x) : x,
      'annotations[0].xanchor': share < 1 / 3 ? 'left' : share > 2 / 3 ? 'right' : 'center',
      'annotations[0].text': '↔ max_length ' + drag.value.toLocaleString('en'),
    });
  }

  // A figure that arrives may be of a moment ago: its line goes back to where the pointer had it,
  // until the figure for the last number is there, or somebody does something else.
  function arrived() {
    const made = plot();
    if (!drag || !made?._fullLayout?.annotations?.length || made === drag.made) return;
    if (drag.done && (said(made) === drag.value || Date.now() > drag.done + STALE)) forget();
    else draw();
  }

  function forget() {
    drag?.watch.disconnect();
    drag = null;
  }

  function send(value) {
    const number = box();
    if (!number || drag.sent === value) return;
    drag.sent = value;
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(number, value);
    number.dispatchEvent(new Event('input', {bubbles: true}));
  }

  function start(event) {
    const made = event.isPrimary && event.button === 0 ? line(event) : null;
    if (!made || !box() || box().disabled) return;
    forget();
    const value = said(made);
    const shown = made._fullLayout.xaxis.d2p(made._fullLayout.shapes[0].x0);
    const watch = new MutationObserver(arrived);
    watch.observe(document.querySelector('#lengths-plot'), {childList: true, subtree: true});
    drag = {
      from: event.clientX, shown, value, before: value, made, watch,
      sent: value, at: 0, frame: 0, moved: false, done: 0,
    };
    document.documentElement.classList.add('dragging-line');
  }

  function follow(event) {
    if (!held()) {
      plot()?.classList.toggle('on-line', line(event) !== null);
      return;
    }
    const made = plot();
    if (!made || (!drag.moved && Math.abs(event.clientX - drag.from) < 3)) return;
    drag.moved = true;
    const axis = made._fullLayout.xaxis, meta = made.layout.meta, range = slider();
    const at = Math.min(axis._length, Math.max(0, drag.shown + event.clientX - drag.from));
    const length = Math.round(between(axis.p2d(at), meta.places, meta.tokens) - 0.5);
    drag.value = Math.min(Number(range.max), Math.max(Number(range.min), length));
    cancelAnimationFrame(drag.frame);
    drag.frame = requestAnimationFrame(draw);
    if (event.timeStamp - drag.at > LIVE) {
      drag.at = event.timeStamp;
      send(drag.value);
    }
  }

  function stop(keep) {
    if (!held()) return;
    document.documentElement.classList.remove('dragging-line');
    cancelAnimationFrame(drag.frame);
    if (!drag.moved) return forget();
    if (!keep) drag.value = drag.before;
    draw();
    drag.done = Date.now();
    send(drag.value);
    box()?.dispatchEvent(new PointerEvent('pointerup', {bubbles: true}));  // Gradio's release
  }

  document.addEventListener('pointerdown', start, true);
  document.addEventListener('pointermove', follow, true);
  document.addEventListener('pointerup', (event) => event.isTrusted && stop(true), true);
  document.addEventListener('pointercancel', () => stop(false), true);
  document.addEventListener('keydown', (event) => event.key === 'Escape' && stop(false), true);
  document.addEventListener('input', (event) => event.isTrusted && forget(), true);
  // Plotly listens to these: it must not zoom or tell rows while the line is held.
  for (const name of ['mousedown', 'mousemove', 'touchstart', 'touchmove'])
    document.addEventListener(name, (event) => {
      if (!held()) return;
      event.preventDefault();
      event.stopImmediatePropagation();
    }, {capture: true, passive: false});
}
"""
