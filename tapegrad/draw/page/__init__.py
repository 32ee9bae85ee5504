"""The HTML page of a tape: ``html`` fills the template, and the style and script stand beside it.

May import: ``walkthrough``, which has the steps and texts of the page, and what it imports.
Start reading: ``html``, then ``page.html``; ``page.js`` shows the steps.
"""
