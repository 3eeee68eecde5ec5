"""What two partners sell, after the worked examples: monthly offers per seat, some for both, some for one of them."""

from __future__ import annotations

from typing import Any

SEATS = {"minimum_quantity": 1, "maximum_quantity": 10, "increment": 1}
PRODUCT = "/products/Partner plans"


def item(
    name: str,
    price: str | None,
    *partners: str,
    add_on: bool = False,
    status: str = "published",
    version: str = "1",
    **attributes: Any,
) -> dict[str, Any]:
    """An offer or add-on of the catalog as Limio documents it."""
    said = {
        "price__limio": [{"type": "recurring", "value": price, "currencyCode": "GBP"}],
        "term__limio": {"renewal_type": "TERMED", "renewal_trigger": "EXTERNAL", "length": 1, "type": "months"},
        "sales_channel__limio": ["Partner"],
        "eligible_partners__limio": list(partners),
        "allow_multibuy__limio": True,
        "default_quantity_options__limio": SEATS,
        **attributes,
    }
    record_type = "add_on" if add_on else "offer"
    return {
        "id": name.lower(),
        "version": version,
        "path": f"/{'add_ons' if add_on else 'offers2'}/{name}",
        "name": name,
        "record_type": record_type,
        "status": status,
        "data": {
            "record_type": record_type,
            "attributes": said,
            "productBundles": [{"product_path": PRODUCT, "rate_plan": name, "revenue_split": "100"}],
        },
    }


def names(*items: str) -> list[dict[str, str]]:
    """A list of offers as an upgrade list has them."""
    return [{"path": f"/offers2/{name}", "id": name.lower()} for name in items]


def sold_with(*items: str) -> dict[str, Any]:
    """A list of add-ons as an offer has them."""
    listed = [{"path": f"/add_ons/{name}", "id": name.lower()} for name in items]
    return {"item_label": "", "item_type": "add_on", "items": listed}


def catalog(n: str, c: str, mark: str = "") -> list[dict[str, Any]]:
    """What is sold to the organisations `n` and `c`; `mark` stands in all that is only c's."""
    coasts = f"BusinessC{mark}"
    return [
        item(
            *("Team", "12", n, c),
            upgrade_offers__limio=names("Business", coasts, "Unpublished"),
            downgrade_offers__limio=names("Solo"),
            cross_sell_addons__limio=sold_with("AU", "PR"),
        ),
        item(*("Business", "18", n), downgrade_offers__limio=names("Team"), cross_sell_addons__limio=sold_with("AU")),
        item(coasts, "15", c, cross_sell_addons__limio=sold_with("AU")),
        item("Unpublished", "20", n, status="draft"),
        item("Solo", "5", n, allow_multibuy__limio=False),
        item("AU", "2", n, c, add_on=True),
        item("PR", "3", n, c, add_on=True),
        item("Elsewhere", "9", n),
    ]
