// Score against cost: one mark per row of the table, the chosen ones with their letters.
"use strict";

usbench.cost = (() => {
  const { h, svg, scale } = usbench;
  const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT] = [640, 330, 40, 40, 24, 20];
  const LINE_HEIGHT = 15;

  // What scores may be drawn against: parameters, and the time on each machine, as no axis holds
  // two machines.
  function axes(table) {
    const machines = [...new Set(table.rows.map((row) => row.cost?.on).filter(Boolean))];
    const times = machines.map((machine, n) => ({
      key: `ms${n || ""}`,
      title: `ms per image on ${machine}`,
      of: (row) => (row.cost?.on === machine ? row.cost.ms : null),
    }));
    const millions = (row) => row.cost?.parameters / 1e6;
    const all = [{ key: "parameters", title: "parameters, millions", of: millions }, ...times];
    return all.filter((axis) => points(table, axis).length > 1);
  }

  const points = (table, axis) =>
    table.rows
      .filter((row) => row.interval && axis.of(row) > 0)
      .map((row) => ({
        row,
        x: axis.of(row),
        low: row.interval[0],
        y: row.interval[1],
        high: row.interval[2],
      }));

  // A logarithmic axis with ticks at 1, 2, 5, 10 …
  function logAxis(values) {
    const [low, high] = [Math.min(...values) / 1.4, Math.max(...values) * 1.4];
    const at = (value) =>
      LEFT + ((WIDTH - LEFT - RIGHT) * Math.log(value / low)) / Math.log(high / low);
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
      ticks.push(...[1, 2, 5].map((factor) => factor * 10 ** power));
    }
    return { at, ticks: ticks.filter((tick) => tick >= low && tick <= high) };
  }

  // The points that no other one beats in both score and cost, cheapest first.
  function front(all, higher) {
    const sign = higher ? 1 : -1;
    const found = [];
    for (const point of [...all].sort((a, b) => a.x - b.x || sign * (b.y - a.y))) {
      if (!found.length || sign * point.y > sign * found.at(-1).y) found.push(point);
    }
    return found;
  }

  // ---- the drawing

  function draw(table, chosen, axis) {
    const all = points(table, axis);
    const { at: x, ticks } = logAxis(all.map((point) => point.x));
    const yScale = scale.make(all.map(({ row }) => row.interval));
    const span = (HEIGHT - BOTTOM - TOP) / (yScale.high - yScale.low);
    const y = (value) => HEIGHT - BOTTOM - span * (value - yScale.low);
    const names = chosen.map((row) => row.id);
    const isNamed = ({ row }) => names.includes(row.id);
    const best = front(all, table.higher).map((point) => `${x(point.x)},${y(point.y)}`);
    const label = `${table.score} against ${axis.title}; the table below has the figures`;
    return svg(
      "svg",
      { class: "cost", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label },
      yAxis(yScale, y, table.score),
      xAxis(ticks, x, axis.title),
      svg("polyline", { class: "front", points: best.join(" ") }),
      all.map((point) => mark(point, x, y, isNamed(point))),
      labels(all.filter(isNamed), x, y, names),
    );
  }

  function yAxis(yScale, y, title) {
    const lines = yScale.ticks.map((tick) => [
      svg("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(tick), y2: y(tick) }),
      svg(
        "text",
        { x: LEFT - 8, y: y(tick) + 4, "text-anchor": "end" },
        scale.label(tick, yScale.digits),
      ),
    ]);
    return [...lines.flat(), svg("text", { x: LEFT, y: 10 }, `↑ ${title}`)];
  }

  function xAxis(ticks, x, title) {
    const text = (tick) => (tick >= 1 ? tick.toLocaleString("en") : String(tick).replace(/^0/, ""));
    const figure = (tick) =>
      svg("text", { x: x(tick), y: HEIGHT - BOTTOM + 18, "text-anchor": "middle" }, text(tick));
    return [
      ...ticks.map(figure),
      svg("text", { x: WIDTH - RIGHT, y: HEIGHT - 4, "text-anchor": "end" }, `${title} →`),
    ];
  }

  function mark({ row, x: cost, y: value, low, high }, x, y, isNamed) {
    const place = { x1: x(cost), x2: x(cost) };
    const whisker =
      low === null ? null : svg("line", { class: "range", ...place, y1: y(low), y2: y(high) });
    const symbol = svg(
      "g",
      { transform: `translate(${x(cost)} ${y(value)})` },
      scale.symbol(row.origin),
    );
    return svg("g", { class: `plot ${row.origin}${isNamed ? "" : " other"}` }, whisker, symbol);
  }

  // Names beside their marks, moved apart where they would cover each other.
  function labels(named, x, y, names) {
    let last = -Infinity;
    return [...named]
      .sort((a, b) => y(a.y) - y(b.y))
      .map((point) => {
        last = Math.max(y(point.y) + 4, last + LINE_HEIGHT);
        const isRight = x(point.x) > 0.7 * WIDTH;
        const side = {
          x: x(point.x) + (isRight ? -10 : 10),
          "text-anchor": isRight ? "end" : "start",
        };
        const letter = usbench.letter(names.indexOf(point.row.id));
        return svg("text", { ...side, y: last, class: "name" }, `${letter} ${point.row.name}`);
      });
  }

  function figures(table, axis) {
    const cost = (x) => (x < 10 ? x.toPrecision(3) : x.toFixed(1));
    const lines = points(table, axis).map(({ row, x, y }) => [
      row.name,
      cost(x),
      usbench.forest.number(y),
    ]);
    const caption = `${table.score} against ${axis.title}`;
    return usbench.folded(
      "The figures",
      usbench.plain(caption, ["model", axis.title, table.score], lines),
    );
  }

  // The drawing with a choice of the cost; null where no cost is known of two rows.
  function build(table, chosen, params) {
    const all = axes(table);
    if (!all.length) return null;
    const axis = all.find(({ key }) => key === params.cost) || all[0];
    const options = all.map(({ key, title }) => [key, title]);
    const select = usbench.select("cost", options, axis.key, (key) =>
      usbench.state.set({ cost: key }),
    );
    const key = usbench.small("Line: rows that no other beats in both. Bars: 95 % intervals.");
    return [usbench.field("Cost", select), draw(table, chosen, axis), key, figures(table, axis)];
  }

  return { build, front, axes };
})();
