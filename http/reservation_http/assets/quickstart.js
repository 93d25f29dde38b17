// Tabs and copy buttons. Without this script the page shows the code of every language.
const STORED = "quickstart.language";
const root = document.documentElement;

function stored() {
  try { return localStorage.getItem(STORED); } catch { return null; }  // refused by the browser's settings
}

// Before anything is drawn, so that nothing jumps.
root.dataset.lang = ["sh", "py", "mjs"].includes(stored()) ? stored() : "sh";

function choose(lang, at) {
  // The code of all steps changes, so what one looks at would move away.
  const before = at?.getBoundingClientRect().top;
  root.dataset.lang = lang;
  try { localStorage.setItem(STORED, lang); } catch { /* for this page only, then */ }
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const chosen = tab.dataset.lang === lang;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
  }
  if (at) scrollBy({ top: at.getBoundingClientRect().top - before, behavior: "instant" });
}

function element(name, attributes, text = "") {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

function addTabs(group, number) {
  const list = element("div", { role: "tablist", "aria-label": "Language", class: "tabs" });
  const panels = [...group.querySelectorAll(".snippet")];
  const tabs = panels.map((panel) => {
    const { lang } = panel.dataset;
    const [tabId, panelId] = [`tab-${number}-${lang}`, `code-${number}-${lang}`];
    const tab = element("button", { type: "button", role: "tab", id: tabId, "aria-controls": panelId, "data-lang": lang },
      panel.querySelector("figcaption").textContent);
    panel.id = panelId;
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", tabId);
    tab.addEventListener("click", () => choose(lang, tab));
    return tab;
  });
  list.append(...tabs);
  list.addEventListener("keydown", (press) => {
    const here = tabs.indexOf(press.target);
    const to = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: tabs.length - 1 }[press.key];
    if (here < 0 || to === undefined) return;
    press.preventDefault();
    const next = tabs.at(to % tabs.length);
    choose(next.dataset.lang, next);
    next.focus();
  });

  const copy = element("button", { type: "button", class: "copy" }, "Copy");
  copy.addEventListener("click", async () => {
    const code = panels.find((panel) => panel.dataset.lang === root.dataset.lang).querySelector("code");
    copy.textContent = await copied(code) ? "Copied" : "Press Ctrl+C";
    said.textContent = copy.textContent;
    setTimeout(() => { copy.textContent = "Copy"; said.textContent = ""; }, 2000);
  });
  const head = element("div", { class: "head" });
  head.append(list, copy);
  group.prepend(head);
}

const said = element("p", { class: "unseen", role: "status" });

async function copied(code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    return true;
  } catch {  // only where the page came by https, or from this machine: it is selected instead
    getSelection().selectAllChildren(code);
    return false;
  }
}

// Behind what ends TLS the service does not know its own address; the browser does.
function useOrigin(guide) {
  const known = guide.dataset.origin;
  if (known === location.origin) return;
  const texts = document.createTreeWalker(guide, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) texts.currentNode.data = texts.currentNode.data.replaceAll(known, location.origin);
}

document.addEventListener("DOMContentLoaded", () => {
  useOrigin(document.querySelector(".guide"));
  document.querySelectorAll(".snippets").forEach(addTabs);
  document.body.append(said);
  choose(root.dataset.lang);
});
