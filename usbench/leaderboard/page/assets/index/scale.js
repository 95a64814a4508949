// One axis for a column of intervals, and the drawing of a row on it. Places are percentages, so a
// drawing fits any width.
"use strict";

usbench.svg = (tag, attributes = {}, ...children) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(
    ...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
};

usbench.scale = (() => {
  const { svg } = usbench;
  const MIDDLE = 12; // of a drawing's height, px
  const EDGE = 5; // % of the width on each side, so that no mark is cut off
  const MOST_STRETCH = 1.4; // what a baseline may widen the axis by; else it is off scale

  const ends = (intervals) => intervals.flat().filter((end) => end !== null && end !== undefined);

  // Round steps that divide a range into three to six parts.
  function step(range) {
    const power = 10 ** Math.floor(Math.log10(range / 4 || 1));
    return [1, 2, 5, 10].map((factor) => factor * power).find((size) => range / size <= 5);
  }

  // The axis of some intervals [low, value, high] and, where they lie near, of references such as
  // baselines.
  function make(intervals, references = []) {
    let [least, most] = bounds(ends(intervals.length ? intervals : references));
    for (const reference of references) {
      const [low, high] = bounds([least, most, ...ends([reference])]);
      if (high - low <= MOST_STRETCH * (most - least)) [least, most] = [low, high];
    }
    const size = step(most - least || 0.1);
    const low = Math.floor(least / size + 1e-9) * size;
    const high = Math.ceil(most / size - 1e-9) * size || low + size;
    const ticks = [];
    for (let n = 0; low + n * size <= high + size / 1e6; n += 1) ticks.push(low + n * size);
    const digits = Math.max(0, -Math.floor(Math.log10(size) + 1e-9));
    return {
      low,
      high,
      ticks,
      digits,
      at: (value) => EDGE + ((100 - 2 * EDGE) * (value - low)) / (high - low || 1),
    };
  }

  // The smallest and the largest value, of more than a call could have as arguments.
  function bounds(values) {
    if (!values.length) return [0, 1];
    const smallest = values.reduce((least, value) => Math.min(least, value));
    return [smallest, values.reduce((most, value) => Math.max(most, value))];
  }

  const label = (value, digits) => {
    const text = Math.abs(value) < 1e-9 ? "0" : value.toFixed(digits);
    return text.replace(/^(-?)0\./, "$1.").replace("-", "−");
  };

  // The axis with its figures, for a column's heading.
  function axis(scale, every = scale.ticks.length > 5 ? 2 : 1) {
    const shown = scale.ticks.filter((_, n) => n % every === 0);
    return svg(
      "svg",
      { class: "axis", height: 16, width: "100%", "aria-hidden": "true" },
      shown.map((tick) =>
        svg(
          "text",
          { x: `${scale.at(tick)}%`, y: 12, "text-anchor": "middle" },
          label(tick, scale.digits),
        ),
      ),
    );
  }

  const grid = (scale) =>
    scale.ticks.map((tick) =>
      svg("line", {
        class: Math.abs(tick) < 1e-9 ? "grid zero" : "grid",
        x1: `${scale.at(tick)}%`,
        x2: `${scale.at(tick)}%`,
        y1: 0,
        y2: "100%",
      }),
    );

  // The mark of each origin, 0 0 being its centre.
  const SHAPES = {
    run: ["circle", { r: 4.5 }],
    external: ["path", { d: "M0 -5.5 5 4H-5z" }],
    published: ["circle", { r: 4, class: "hollow" }],
    baseline: ["path", { d: "M0 -5 5 0 0 5 -5 0z" }],
    human: ["rect", { x: -4, y: -4, width: 8, height: 8 }],
  };

  function symbol(origin) {
    const [tag, attributes] = SHAPES[origin] || SHAPES.run;
    return svg(tag, { ...attributes, class: `mark ${attributes.class || ""}`.trim() });
  }

  // A mark lies in a nested <svg> at a percentage, which a transform can't state.
  function mark(origin, x) {
    return svg("svg", { x, y: MIDDLE, overflow: "visible" }, symbol(origin));
  }

  function offScale(isLeft) {
    const place = isLeft ? { x: 0, "text-anchor": "start" } : { x: "100%", "text-anchor": "end" };
    return svg("text", { class: "off", y: 16, ...place }, isLeft ? "◂ off scale" : "off scale ▸");
  }

  // An interval with its value and the seeds' as dots; a value off the axis becomes an arrow.
  function interval(scale, [low, value, high], origin, dots = []) {
    const inside = (x) => `${Math.min(100, Math.max(0, scale.at(x)))}%`;
    const frame = { class: `plot ${origin}`, width: "100%", height: 24, "aria-hidden": "true" };
    if (value < scale.low - 1e-9 || value > scale.high + 1e-9) {
      return svg("svg", frame, grid(scale), offScale(value < scale.low));
    }
    const ends = { x1: inside(low), x2: inside(high), y1: MIDDLE, y2: MIDDLE };
    const range = low === null ? null : svg("line", { class: "range", ...ends });
    const seed = (dot) => svg("circle", { class: "seed", cx: inside(dot), cy: MIDDLE, r: 2.2 });
    return svg("svg", frame, grid(scale), range, dots.map(seed), mark(origin, inside(value)));
  }

  return { make, axis, interval, symbol, label, grid };
})();
