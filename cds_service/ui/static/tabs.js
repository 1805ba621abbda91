/* Two sections one after the other become two tabs: data-tabs="First|Second". */
export function tabs(part) {
  for (const box of part.querySelectorAll("[data-tabs]:not([data-ready])")) {
    box.dataset.ready = "";
    const panels = [...box.querySelectorAll(":scope > section")];
    const list = document.createElement("div");
    list.className = "tablist no-print";
    list.setAttribute("role", "tablist");
    const buttons = box.dataset.tabs.split("|").slice(0, panels.length).map((name, number) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.id = `tab-${number}`;
      button.setAttribute("role", "tab");
      panels[number].id ||= `panel-${number}`;
      button.setAttribute("aria-controls", panels[number].id);
      list.append(button);
      return button;
    });
    const choose = (chosen) => buttons.forEach((button, number) => {
      button.setAttribute("aria-selected", String(number === chosen));
      button.tabIndex = number === chosen ? 0 : -1;
      panels[number].hidden = number !== chosen;
      sessionStorage.setItem("tab", String(chosen));
    });
    list.addEventListener("click", (event) => {
      const number = buttons.indexOf(event.target);
      if (number >= 0) choose(number);
    });
    list.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const number = buttons.indexOf(document.activeElement);
      if (!step || number < 0) return;
      const next = (number + step + buttons.length) % buttons.length;
      choose(next);
      buttons[next].focus();
    });
    document.addEventListener("click", (event) => {
      const hash = event.target.closest?.("a[href^='#']")?.hash;
      const number = hash && box.isConnected ? panels.findIndex((panel) => panel.querySelector(hash)) : -1;
      if (number >= 0) choose(number);
    });
    box.prepend(list);
    choose(Math.min(Number(sessionStorage.getItem("tab")) || 0, panels.length - 1));
  }
}
