// One case of one model: what it missed and what it drew too much, told apart by colour and by
// hatching.
// Shapes are those of a gallery: {class, kind: area | box | line | point, at}, in the picture's
// pixels.
"use strict";

usbench.compareOverlay = (() => {
  const { svg } = usbench;
  const MATCHES_FROM = 0.5; // IoU of boxes
  let count = 0; // of drawings, for ids

  // Outlines of an area as a path, even-odd; x and y are pixel centres.
  const outline = (rings) =>
    rings
      .map((ring) => {
        const points = [];
        for (let n = 0; n + 1 < ring.length; n += 2)
          points.push(`${ring[n] + 0.5} ${ring[n + 1] + 0.5}`);
        return `M${points.join("L")}Z`;
      })
      .join("");

  const classesOf = (shapes) => [...new Set(shapes.map((shape) => shape.class))];
  const areas = (shapes, label) =>
    shapes
      .filter((shape) => shape.kind === "area" && shape.class === label)
      .map((shape) => outline(shape.at))
      .join("");

  function patterns(id, width) {
    const size = width / 45;
    const lines = (name, path) =>
      svg(
        "pattern",
        {
          id: `${id}-${name}`,
          width: size,
          height: size,
          patternUnits: "userSpaceOnUse",
          viewBox: "0 0 8 8",
        },
        svg("rect", { width: 8, height: 8, class: `${name} ground` }),
        svg("path", { d: path, class: `${name} hatch` }),
      );
    return svg(
      "defs",
      {},
      lines("missed", "M-2 10 10-2M-2 2 2-2M6 10 10 6"),
      lines("extra", "M4 0V8M0 4H8"),
    );
  }

  // The pixels of `inside` that aren't in `outside`, hatched.
  function rest(id, name, inside, outside, size) {
    if (!inside) return [];
    const mask = `${id}-${name}-${(count += 1)}`;
    return [
      svg(
        "mask",
        { id: mask, maskUnits: "userSpaceOnUse", x: 0, y: 0, width: size[1], height: size[0] },
        svg("rect", { width: size[1], height: size[0], fill: "#fff" }),
        svg("path", { d: outside, fill: "#000", "fill-rule": "evenodd" }),
      ),
      svg("path", {
        d: inside,
        fill: `url(#${id}-${name})`,
        "fill-rule": "evenodd",
        mask: `url(#${mask})`,
      }),
    ];
  }

  function masks(id, target, prediction, size) {
    const labels = classesOf([...target, ...prediction].filter((shape) => shape.kind === "area"));
    return labels.flatMap((label) => {
      const [aim, guess] = [areas(target, label), areas(prediction, label)];
      return [
        ...rest(id, "missed", aim, guess, size),
        ...rest(id, "extra", guess, aim, size),
        svg("path", { class: "target line", d: aim }),
        svg("path", { class: "prediction line", d: guess }),
      ];
    });
  }

  const iou = ([a1, b1, c1, d1], [a2, b2, c2, d2]) => {
    const common =
      Math.max(0, Math.min(c1, c2) - Math.max(a1, a2)) *
      Math.max(0, Math.min(d1, d2) - Math.max(b1, b2));
    return common / ((c1 - a1) * (d1 - b1) + (c2 - a2) * (d2 - b2) - common || 1);
  };

  // Boxes by class: predictions in the order of their confidence take the best target that is free.
  function match(target, prediction) {
    const free = new Set(target);
    const extra = [];
    for (const guess of [...prediction].sort((a, b) => (b.score ?? 1) - (a.score ?? 1))) {
      const [best] = [...free]
        .filter((aim) => aim.class === guess.class)
        .map((aim) => [iou(aim.at[0], guess.at[0]), aim])
        .filter(([overlap]) => overlap >= MATCHES_FROM)
        .sort((a, b) => b[0] - a[0]);
      if (best) free.delete(best[1]);
      else extra.push(guess);
    }
    return { missed: [...free], extra };
  }

  const box = (name, { at: [[x1, y1, x2, y2]] }, fill) =>
    svg("rect", { class: name, x: x1, y: y1, width: x2 - x1, height: y2 - y1, fill });

  function boxes(id, target, prediction) {
    const { missed, extra } = match(target, prediction);
    return [
      ...missed.map((shape) => box("", shape, `url(#${id}-missed)`)),
      ...extra.map((shape) => box("", shape, `url(#${id}-extra)`)),
      ...target.map((shape) => box("target line", shape)),
      ...prediction.map((shape) => box("prediction line", shape)),
    ];
  }

  const middle = ({ at: [line] }) => [line[0] + 0.5, line[1] + 0.5];

  // Landmarks: the error as a line from the target to the prediction.
  function points(target, prediction, size) {
    const r = size[1] / 90;
    const errors = target
      .filter((shape) => shape.kind === "point")
      .map((aim) => {
        const guess = prediction.find(
          (shape) => shape.kind === "point" && shape.class === aim.class,
        );
        if (!guess)
          return svg("circle", {
            cx: middle(aim)[0],
            cy: middle(aim)[1],
            r: r * 2.2,
            fill: "none",
            class: "missed ring",
          });
        const [[x1, y1], [x2, y2]] = [middle(aim), middle(guess)];
        return svg("line", { class: "error", x1, y1, x2, y2 });
      });
    const dots = (name, shapes) =>
      shapes.map((shape) =>
        shape.kind === "point"
          ? svg("circle", { class: `${name} dot`, cx: middle(shape)[0], cy: middle(shape)[1], r })
          : svg("path", { class: `${name} line`, d: outline(shape.at).replace(/Z$/, "") }),
      );
    return [...errors, ...dots("target", target), ...dots("prediction", prediction)];
  }

  // The drawing over a picture of (height, width) `size`; prediction: null draws the target alone.
  function draw(size, target, prediction) {
    const id = `over-${(count += 1)}`;
    const kind = (shapes, ...kinds) => shapes.filter((shape) => kinds.includes(shape.kind));
    const guess = prediction || target;
    const parts = prediction
      ? [patterns(id, size[1]), masks(id, kind(target, "area"), kind(guess, "area"), size)]
      : kind(target, "area").map((shape) =>
          svg("path", { class: "target line", d: outline(shape.at) }),
        );
    return svg(
      "svg",
      {
        class: prediction ? "over" : "over alone",
        viewBox: `0 0 ${size[1]} ${size[0]}`,
        "aria-hidden": "true",
      },
      parts,
      boxes(id, kind(target, "box"), kind(guess, "box")),
      points(kind(target, "point", "line"), kind(guess, "point", "line"), size),
    );
  }

  return { draw, match, iou };
})();
