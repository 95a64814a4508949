// The catalogue: cards of public datasets and models, filters, score parts as bars, and what is runnable here.
"use strict";

usbench.catalogue = (() => {
  const { h, copyable } = usbench;
  const FACETS = { anatomy: "Anatomy", tasks: "Task", access: "Access", licence: "Licence" };
  const SORTS = {
    score: ["score, best first", (a, b) => b.score.low - a.score.low || b.score.high - a.score.high],
    name: ["name", (a, b) => a.name.localeCompare(b.name, "en")],
    year: ["year, newest first", (a, b) => (field(b, "year") || "").localeCompare(field(a, "year") || "")],
  };

  const field = (card, name) => card.fields.find(([each]) => each === name)?.[1];
  const range = (low, high) => (low === high ? `${low}` : `${low}–${high}`);
  const link = (text) => text.split(/(https?:\/\/[^\s;,)]+)/).map((part, n) => (n % 2 ? h("a", { href: part, rel: "noreferrer" }, part) : part));

  // A score's parts beside each other, as wide as their points: full, what is known; hatched, what may be.
  function bar(score) {
    const parts = score.parts.map(([criterion, low, high, of, why]) =>
      h("span", { style: `flex: ${of} 1 0`, title: `${criterion} ${range(low, high)} of ${of}: ${why}` },
        h("i", { class: "maybe", style: `width: ${(100 * high) / of}%` }), h("i", { style: `width: ${(100 * low) / of}%` })));
    return h("div", { class: "bar", role: "img", "aria-label": `Score ${score.text}: ${score.parts.map(([name, low, high, of]) => `${name} ${range(low, high)} of ${of}`).join(", ")}` }, parts);
  }

  function scored(card, rubric) {
    const { score } = card;
    const words = Object.fromEntries((rubric?.criteria || []).map((one) => [one.name, one.words]));
    return [h("h3", {}, score.tier ? `Score ${score.text}, tier ${score.tier}` : `Score: ${score.text}`), h("p", { class: "muted" }, `By the rubric ${score.rubric}. What isn't known is neither given nor refused: the score is then a range. Where less than 70 % of the points is known, none is shown.`), bar(score),
      h("div", { class: "scroll" }, h("table", { class: "plain parts" },
        h("thead", {}, h("tr", {}, ["criterion", "points", "of", "why"].map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, score.parts.map(([name, low, high, of, why]) => h("tr", {}, h("th", { scope: "row" }, name, words[name] ? h("div", { class: "muted small" }, words[name]) : null),
          h("td", {}, range(low, high)), h("td", {}, of), h("td", {}, why))))))];
  }

  function details(card, rubrics) {
    usbench.dialog(card.name, [
      card.runnable ? [h("h3", {}, "Runnable here"), copyable(card.command, "the command")] : h("p", { class: "muted" }, "usbench doesn't run it."),
      h("h3", {}, "The card"),
      h("dl", { class: "facts" }, card.fields.map(([name, text, source, verified]) => [h("dt", {}, name),
        h("dd", {}, link(text), source ? h("span", { class: "muted small" }, ` — ${source} (verified: ${verified})`) : null)])),
      card.missing.length ? h("p", { class: "muted" }, `Not known: ${card.missing.join(", ")}.`) : null,
      h("p", { class: "muted small" }, "Where nothing else is said: ", link(card.source), ` (verified: ${card.verified}).`, card.row ? ` Row ${card.row} of the table of Alsharid et al. 2025.` : ""),
      scored(card, rubrics[card.score.rubric]),
    ]);
  }

  function shown(card, rubrics, tasks) {
    const amounts = ["images", "videos", "subjects", "parameters"].filter((name) => /^[1-9][\d,]*( |$)/.test(field(card, name) || ""))
      .map((name) => `${field(card, name).split(" ")[0]} ${name}`);
    const pills = [...card.facets.anatomy, ...card.facets.tasks].map((word) => h("span", { class: "pill" }, word));
    const terms = ["access", "licence"].filter((name) => card.facets[name].length).map((name) => `${FACETS[name]}: ${card.facets[name].join(", ")}`);
    const where = card.kind === "dataset" && tasks.find((task) => task.dataset === card.key);
    return h("li", { class: "card" },
      h("h3", {}, h("button", { type: "button", class: "plain", "aria-haspopup": "dialog", onclick: () => details(card, rubrics) }, card.name)),
      h("div", { class: "row" }, card.runnable ? h("span", { class: "pill good" }, "runnable here") : null, pills),
      h("p", { class: "muted" }, [field(card, "year")?.split(" ")[0], ...amounts].filter((text) => /\d/.test(text || "")).join(" · ") || "size unknown"),
      terms.length ? h("p", {}, terms.join(" · ")) : null,
      h("div", {}, h("p", { class: "small" }, h("strong", {}, card.score.text), h("span", { class: "muted" }, card.score.tier ? ` · tier ${card.score.tier}` : "")), bar(card.score)),
      card.runnable ? copyable(card.command, `the command for ${card.name}`) : null,
      where ? h("p", {}, h("a", { href: `#leaderboard/${where.id}` }, "Its results on the leaderboard")) : null);
  }

  function rubric(sheet) {
    const tiers = sheet.tiers.map((tier) => (tier.from === null ? tier.name : `${tier.name} from ${tier.from}`)).join(", ");
    return h("details", { class: "note" }, h("summary", {}, h("strong", {}, sheet.title), sheet.missing ? h("span", { class: "muted" }, " · its criteria are missing") : null),
      h("p", {}, sheet.words), h("p", {}, `Tiers: ${tiers}.`),
      sheet.criteria.length ? h("ul", {}, sheet.criteria.map((one) => h("li", {}, `${one.name}, ${one.of}: ${one.words}`))) : null,
      h("p", { class: "muted small" }, link(`Source: ${sheet.source}`)));
  }

  const chosen = { kind: "datasets", typed: "", sort: "score", runnable: "", anatomy: "", tasks: "", access: "", licence: "" };

  function fits(card) {
    const text = [card.name, card.id, ...card.fields.map(([, text]) => text)].join(" ").toLowerCase();
    return chosen.typed.toLowerCase().split(/\s+/).every((word) => text.includes(word)) && (!chosen.runnable || card.runnable)
      && Object.keys(FACETS).every((name) => !chosen[name] || card.facets[name].includes(chosen[name]));
  }

  function build(section, catalogue, tasks) {
    const list = h("ul", { class: "cards" });
    const count = h("p", { class: "muted", role: "status" });
    const facets = h("div", { class: "facets" });

    function draw() {
      const cards = catalogue[chosen.kind].filter(fits).sort(SORTS[chosen.sort][1]);
      const runnable = cards.filter((card) => card.runnable).length;
      count.textContent = `${cards.length} of ${catalogue[chosen.kind].length} ${chosen.kind}, ${runnable} runnable here`;
      list.replaceChildren(...cards.map((card) => shown(card, catalogue.rubrics, tasks)));
    }

    function select(name, label, options) {
      const id = `facet-${name}`;
      const made = h("select", { id, onchange: () => { chosen[name] = made.value; (name === "kind" ? tools : draw)(); } },
        options.map(([value, text]) => h("option", { value }, text)));
      made.value = chosen[name];
      return h("div", {}, h("label", { for: id }, label), made);
    }

    function tools() {
      const values = (name) => [...new Set(catalogue[chosen.kind].flatMap((card) => card.facets[name]))].sort();
      const focused = document.activeElement?.id;
      const some = Object.entries(FACETS).filter(([name]) => values(name).length);
      for (const name of Object.keys(FACETS)) if (!values(name).includes(chosen[name])) chosen[name] = "";
      const filter = h("input", { id: "facet-filter", type: "search", placeholder: "name, device, class …", value: chosen.typed, oninput: () => { chosen.typed = filter.value; draw(); } });
      facets.replaceChildren(
        select("kind", "Show", [["datasets", "datasets"], ["models", "models"]]),
        h("div", {}, h("label", { for: "facet-filter" }, "Filter cards"), filter),
        ...some.map(([name, label]) => select(name, label, [["", "all"], ...values(name).map((value) => [value, value])])),
        select("runnable", "Runnable", [["", "all"], ["yes", "runnable here"]]),
        select("sort", "Sort by", Object.entries(SORTS).map(([name, [label]]) => [name, label])));
      if (focused?.startsWith("facet-")) document.getElementById(focused)?.focus();
      draw();
    }

    section.append(h("h2", {}, "Catalogue"),
      h("p", { class: "lead" }, "Public ultrasound datasets and models, with what is known of them, from where, and who verified it. Bars: points by criterion; hatched: unknown, so it may be."),
      facets, count, list, h("h2", { style: "margin-top: 2rem" }, "How the scores are made"), ...Object.values(catalogue.rubrics).map(rubric));
    return (where) => {
      if (where === "datasets" || where === "models") chosen.kind = where;
      tools();
      const card = [...catalogue.datasets, ...catalogue.models].find((each) => `${each.kind}/${each.id}` === where);
      if (card) details(card, catalogue.rubrics);
    };
  }

  return build;
})();
