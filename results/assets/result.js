// The plots of a result's page: training curves and how the test images' qualities are spread. All else is in the HTML.
"use strict";

(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const look = { background: "none", color: "var(--fg)", fontFamily: "var(--sans)", overflow: "visible" };
  const round = (edge) => Number(edge.toPrecision(3));

  const epochs = (points) => d3.ticks(points[0][0], points.at(-1)[0], 7).filter(Number.isInteger);

  function curve(name, points, width) {
    return Plot.plot({
      width, height: 200, marginLeft: 56, style: look, ariaLabel: `Training curve ${name}`,
      x: { label: "epoch", ticks: epochs(points), tickFormat: "d" },
      y: { label: name, grid: true, nice: true, tickFormat: name === "lr" ? "~e" : undefined },
      marks: [
        Plot.lineY(points, { x: "0", y: "1", stroke: "var(--accent)", strokeWidth: 2 }),
        Plot.dot(points, { x: "0", y: "1", r: points.length > 1 ? 1.5 : 4, fill: "var(--accent)" }),
        Plot.tip(points, Plot.pointerX({
          x: "0", y: "1", fill: "var(--card)", stroke: "var(--line)", format: { x: "d", y: ".4~g" },
        })),
      ],
    });
  }

  function histogram({ label, edges, rows }, width) {
    const bars = rows.flatMap(({ name, counts }) =>
      counts.map((count, n) => ({ name, count, from: edges[n], to: edges[n + 1] })));
    const names = rows.map(({ name }) => name);
    return Plot.plot({
      width, height: 64 + 76 * rows.length, marginTop: 34, marginLeft: 54, marginRight: 12, marginBottom: 38, style: look,
      ariaLabel: `Histogram of ${label} per test image`,
      x: { label, domain: [edges[0], edges.at(-1)] },
      y: { label: "images", labelAnchor: "center", labelArrow: "none", ticks: 3, grid: true, nice: true, tickFormat: "d" },
      fy: { domain: names, axis: null, padding: 0.28 },
      marks: [
        Plot.ruleY([0], { stroke: "var(--muted)" }),
        Plot.rectY(bars, {
          x1: "from", x2: "to", y: "count", fy: "name", fill: (bar) => (bar.name === names[0] ? "all" : "one"),
          title: (bar) => `${bar.name}: ${bar.count} images of ${round(bar.from)} to ${round(bar.to)}`, insetLeft: 1,
        }),
        Plot.text(names, { fy: (name) => name, text: (name) => name, frameAnchor: "top-left", dy: -14, fontWeight: 600 }),
      ],
      color: { domain: ["all", "one"], range: ["var(--accent)", "var(--muted)"] },
    });
  }

  function draw() {
    const put = (figure, make) => {
      const caption = figure.querySelector("figcaption");
      const plot = make(Math.max(240, figure.clientWidth));
      plot.setAttribute("role", "img"); // the caption and the table beside it say the same
      figure.replaceChildren(plot, caption);
    };
    document.querySelectorAll("[data-curve]").forEach((figure) =>
      put(figure, (width) => curve(figure.dataset.curve, data.curves[figure.dataset.curve], width)));
    document.querySelectorAll("[data-histogram]").forEach((figure) =>
      put(figure, (width) => histogram(data.histogram, Math.min(width, 760))));
  }

  let drawn = 0;
  new ResizeObserver(() => {
    const width = document.getElementById("main").clientWidth;
    if (width !== drawn) { drawn = width; draw(); }
  }).observe(document.getElementById("main"));
})();
