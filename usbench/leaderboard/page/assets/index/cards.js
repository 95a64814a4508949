// A card of the catalogue in full, from assets/catalogue.js, which is loaded when the first card is
// opened.
"use strict";

usbench.cards = (() => {
  const { h, copyable, linked, small } = usbench;
  let loading = null; // a promise of the cards in full
  let arrived = null;

  const MISSING = [
    h("p", {}, "assets/catalogue.js isn't beside this page; CATALOGUE.md has the cards."),
  ];

  usbench.addCatalogue = (data) => {
    arrived = data;
  };

  function load() {
    loading ||= usbench.loadScript("assets/catalogue.js").then(() => arrived);
    return loading;
  }

  async function open(kind, card) {
    usbench.dialog(card.name, [h("p", {}, "Loading …")]);
    const all = await load();
    usbench.dialog(card.name, all ? inFull(card, all[kind][card.id], all.rubrics) : MISSING);
  }

  function inFull(card, full, rubrics) {
    const row = full.row ? ` Row ${full.row} of the table of Alsharid et al. 2025.` : "";
    const source = small(
      "Where nothing else is said: ",
      linked(full.source),
      ` (verified: ${full.verified}).`,
      row,
    );
    return [
      card.command ? h("h3", {}, "Run it") : h("p", { class: "muted" }, "usbench doesn't run it."),
      card.command ? copyable(card.command, "the command") : null,
      h("h3", {}, "The card"),
      usbench.facts(full.fields.map(field)),
      full.missing.length
        ? h("p", { class: "muted" }, `Not known: ${full.missing.join(", ")}.`)
        : null,
      source,
      h("h3", {}, `Quality: ${card.score}${card.tier ? `, tier ${card.tier}` : ""}`),
      small(
        `By the rubric ${full.rubric}. `,
        "What isn't known may be worth anything: the score is then a range.",
      ),
      points(full, rubrics[full.rubric]),
    ];
  }

  function field([name, text, source, verified]) {
    if (!source) return [name, linked(text)];
    const origin = h(
      "span",
      { class: "muted small" },
      " — ",
      linked(source),
      ` (verified: ${verified})`,
    );
    return [name, [...linked(text), origin]];
  }

  function points(full, rubric) {
    const words = Object.fromEntries(
      (rubric?.criteria || []).map((each) => [each.name, `: ${each.words}`]),
    );
    const range = (low, high) => (low === high ? `${low}` : `${low}–${high}`);
    const lines = full.parts.map(([name, low, high, of, why]) => [
      `${name}${words[name] || ""}`,
      range(low, high),
      of,
      why,
    ]);
    return usbench.plain("Points by criterion", ["criterion", "points", "of", "why"], lines);
  }

  // How the cards' quality is scored.
  async function openRubrics() {
    const title = "How quality is scored";
    usbench.dialog(title, [h("p", {}, "Loading …")]);
    const all = await load();
    usbench.dialog(title, all ? Object.values(all.rubrics).flatMap(rubric) : MISSING);
  }

  function rubric({ title, words, tiers, criteria, source, missing }) {
    const from = (tier) => (tier.from === null ? tier.name : `${tier.name} from ${tier.from}`);
    const lines = criteria.map((each) => [each.name, each.of, each.words]);
    return [
      h(
        "h3",
        {},
        title,
        missing ? h("span", { class: "muted" }, " · its criteria are missing") : null,
      ),
      h("p", {}, words, ` Tiers: ${tiers.map(from).join(", ")}.`),
      lines.length
        ? usbench.plain(`Criteria of ${title}`, ["criterion", "of", "what"], lines)
        : null,
      small("Source: ", linked(source)),
    ];
  }

  return { open, openRubrics };
})();
