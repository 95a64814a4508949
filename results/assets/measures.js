// The plots of clinical measurements on a result's page: Bland–Altman, and predicted against true values.
"use strict";

(() => {
  const { measures } = JSON.parse(document.getElementById("data").textContent);
  const look = { background: "none", color: "var(--fg)", fontFamily: "var(--sans)", overflow: "visible" };
  const dots = { r: 2.2, fill: "var(--accent)", fillOpacity: 0.45 };
  const text = d3.format(".4~g");

  function blandAltman({ name, unit, pairs, bias, loa_low: low, loa_high: high, tolerance }, width) {
    const points = pairs.map(([truth, predicted]) => ({ x: (truth + predicted) / 2, y: predicted - truth }));
    const [from, to] = d3.extent(points, ({ x }) => x);
    const allowed = (x) => (tolerance[1] ? (x * tolerance[0]) / 100 : tolerance[0]);
    const limit = (y) => [
      Plot.ruleY([y], { stroke: "var(--fg)", strokeDasharray: "5 4" }),
      Plot.text([y], { y: (value) => value, text: (value) => text(value), frameAnchor: "right", dy: -7, dx: -2 }),
    ];
    return Plot.plot({
      width, height: 280, marginLeft: 52, marginBottom: 40, style: look, ariaLabel: `Bland–Altman plot of ${name}`,
      x: { label: `mean of predicted and true, ${unit}`, nice: true, labelAnchor: "center", labelArrow: "none" },
      y: { label: `↑ predicted − true, ${unit}`, grid: true, nice: true, labelArrow: "none" },
      marks: [
        Plot.ruleY([0], { stroke: "var(--muted)" }),
        Plot.dot(points, { x: "x", y: "y", ...dots }),
        tolerance ? [1, -1].map((sign) => Plot.line([from, to], {
          x: (x) => x, y: (x) => sign * allowed(x), stroke: "var(--good)", strokeWidth: 1.5, strokeDasharray: "1.5 3",
        })) : null,
        bias === undefined ? null : Plot.ruleY([bias], { stroke: "var(--fg)", strokeWidth: 1.5 }),
        low === undefined ? null : [...limit(low), ...limit(high)],
        Plot.tip(points, Plot.pointer({
          x: "x", y: "y", fill: "var(--card)", stroke: "var(--line)", format: { x: text, y: text },
        })),
      ],
    });
  }

  function scatter({ name, unit, pairs }, width) {
    const domain = d3.nice(...d3.extent(pairs.flat()), 6);
    return Plot.plot({
      width, height: 280, marginLeft: 52, marginBottom: 40, style: look, ariaLabel: `Predicted by true ${name}`,
      x: { label: `true, ${unit}`, domain, labelAnchor: "center", labelArrow: "none" },
      y: { label: `↑ predicted, ${unit}`, domain, grid: true, labelArrow: "none" },
      marks: [
        Plot.line([domain, domain].map(([low, high], n) => (n ? high : low)), { x: (end) => end, y: (end) => end, stroke: "var(--muted)" }),
        Plot.dot(pairs, { x: "0", y: "1", ...dots }),
        Plot.tip(pairs, Plot.pointer({
          x: "0", y: "1", fill: "var(--card)", stroke: "var(--line)", format: { x: text, y: text },
        })),
      ],
    });
  }

  function draw() {
    const put = (figure, make, number) => {
      const caption = figure.querySelector("figcaption");
      const plot = make(measures[number], Math.min(560, Math.max(240, figure.clientWidth)));
      plot.setAttribute("role", "img"); // the caption and the table say the same
      figure.replaceChildren(plot, caption);
    };
    document.querySelectorAll("[data-bland-altman]").forEach((figure) => put(figure, blandAltman, figure.dataset.blandAltman));
    document.querySelectorAll("[data-scatter]").forEach((figure) => put(figure, scatter, figure.dataset.scatter));
  }

  let drawn = 0;
  new ResizeObserver(() => {
    const width = document.getElementById("main").clientWidth;
    if (width !== drawn) { drawn = width; draw(); }
  }).observe(document.getElementById("main"));
})();
