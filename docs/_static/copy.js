/* A button on each block of code, which copies what is typed: prompts and what is printed are left out. */
"use strict";

function typed(text, transcript) {
  if (!transcript) return text;
  return text
    .split("\n")
    .filter((line) => /^(\$|>>>|\.\.\.)( |$)/.test(line))
    .map((line) => line.replace(/^(\$|>>>|\.\.\.) ?/, ""))
    .join("\n");
}

document.addEventListener("DOMContentLoaded", () => {
  for (const block of document.querySelectorAll("article div.highlight")) {
    const code = block.querySelector("pre");
    if (!code || block.closest(".highlight-text")) continue;
    const button = document.createElement("button");
    button.className = "copy";
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      const transcript = /^(\$|>>>) /.test(code.textContent);
      await navigator.clipboard.writeText(typed(code.textContent, transcript).trimEnd() + "\n");
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
    block.append(button);
  }
});
