// What every page of usbench does: elements from plain data (text is never read as HTML), the theme that a reader chose,
// and buttons that copy the text beside them.
"use strict";

const usbench = {
  // h("a", {href: "#leaderboard"}, "Leaderboard"): an element; strings and numbers become text, null and false nothing.
  h(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (name === "style") element.style.cssText = value;
      else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
    return element;
  },

  // A text with a button that copies it; what: said to screen readers, such as "the command".
  copyable(text, what = "") {
    const { h } = usbench;
    const button = h("button", { type: "button", "aria-label": what && `Copy ${what}` }, "Copy");
    return h("div", { class: "copy" }, h("code", {}, text), button);
  },

  // Told to screen readers, wherever the focus is.
  say(text) {
    document.getElementById("said")?.replaceChildren(text);
  },
};

(() => {
  const root = document.documentElement;
  const stored = {
    get: () => { try { return localStorage.getItem("usbench-theme"); } catch { return null; } },
    set: (theme) => { try { localStorage.setItem("usbench-theme", theme); } catch { /* private window: not stored */ } },
  };
  if (["light", "dark"].includes(stored.get())) root.dataset.theme = stored.get();

  const dark = () =>
    root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

  function themed(button) {
    const label = () => { button.textContent = dark() ? "Light theme" : "Dark theme"; };
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      stored.set(root.dataset.theme);
      label();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", label);
    label();
  }

  // Copy a text; whether that worked.
  usbench.copy = async function copied(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch { // no permission, or an old browser: by the selection
      const area = usbench.h("textarea", { class: "unseen" });
      area.value = text;
      (document.querySelector("dialog[open]") || document.body).append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      return done;
    }
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest(".copy > button");
    if (!button) return;
    const done = await usbench.copy(button.parentElement.querySelector("code, span").textContent);
    button.focus();
    button.textContent = done ? "Copied" : "Select and copy";
    usbench.say(done ? "Copied" : "Could not copy: select the text and copy it");
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });

  addEventListener("DOMContentLoaded", () => document.querySelectorAll("button.theme").forEach(themed));
})();
