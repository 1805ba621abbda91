/* Buttons that copy a text. */
export function copyButtons(part) {
  for (const text of part.querySelectorAll("[data-copy]:not([data-ready])")) {
    text.dataset.ready = "";
    const button = document.createElement("button");
    button.type = "button";
    button.className = "small copy no-print";
    button.textContent = "Copy";
    button.setAttribute("aria-live", "polite");
    button.addEventListener("click", () => copied(text.textContent, button, text));
    text.before(button);
  }
}

/* Copy a text and say so on the button; where the browser refuses, select it for the keyboard. */
export async function copied(text, button, place) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    if (place) getSelection().selectAllChildren(place);
    button.textContent = place ? "Selected: copy with the keyboard" : "It stands in the address now";
  }
  setTimeout(() => { button.textContent = before; }, 2500);
}
