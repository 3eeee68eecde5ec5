"""What axe-core finds on a page by the rules of WCAG 2.2 AA.

axe-core 4.12 comes inside axe-playwright-python; it is of the Mozilla Public License 2.0 and no part of the product.
"""

from __future__ import annotations

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

_RULES = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
#: What a dark or narrow window can change.
_OF_LOOKS = ["color-contrast", "target-size", "scrollable-region-focusable", "link-in-text-block"]
#: What axe-core finds right stays in the browser: of a long page it is megabytes.
_LOOK = "(options) => axe.run(document, options).then((found) => found.violations)"


def find_violations(page: Page, *, again: bool) -> list[str]:
    """A line for each; `again` for another look of the page that was looked at last, in which axe-core has stayed."""
    if not again:
        page.evaluate(AXE_SCRIPT)
    found = page.evaluate(_LOOK, {"runOnly": _OF_LOOKS if again else _RULES, "resultTypes": ["violations"]})
    return [f"{each['id']}: {each['help']}: {[node['html'][:200] for node in each['nodes'][:3]]}" for each in found]
