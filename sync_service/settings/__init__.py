"""The settings: one frozen value made from a mapping of strings, with every problem reported at once and by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from marshmallow import EXCLUDE, Schema, ValidationError, post_load, validate, validates_schema
from marshmallow import fields as typed

from sync_service.errors import SettingsInvalid
from sync_service.settings import forms
from sync_service.settings.forms import Network


def _setting(default: object, form: typed.Field[Any]) -> Any:
    """A setting that `form` reads from its string; without one it is the string itself."""
    return field(default=default, metadata={"form": form})


def _secret(default: object = "", form: typed.Field[Any] | None = None) -> Any:
    """A setting that is never shown."""
    return field(default=default, repr=False, metadata={"form": form} if form else {})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the environment says. `.env.example` documents each; the names there are these in capitals."""

    database_url: str = _secret("sqlite:///var/sync-service.db", typed.String(validate=forms.DATABASE))
    zuora_base_url: str = _setting("", typed.String(validate=forms.ADDRESS))
    #: Where people find the tenant's pages; empty: told from `zuora_base_url`.
    zuora_app_url: str = _setting("", typed.String(validate=forms.PAGE))
    zuora_client_id: str = ""
    zuora_client_secret: str = _secret()
    zuora_entity_id: str = ""
    zuora_org_ids: str = ""
    #: Calls at the same time that we allow ourselves, over all hosts; 0: three quarters of what Zuora's answers report
    #: for the tenant, and 8 until the first.
    zuora_max_concurrency: int = _setting(0, typed.Integer(validate=validate.Range(0, 400)))
    #: The same of its 200 for calls that create or preview orders.
    zuora_max_orders: int = _setting(40, typed.Integer(validate=validate.Range(1, 200)))
    #: Calls in a day that we allow ourselves (an API sandbox has 10,000 for all its users); 0 means no limit.
    zuora_daily_calls: int = _setting(0, typed.Integer(validate=validate.Range(0)))
    zuora_integration_users: tuple[str, ...] = _setting((), forms.Words())
    ignored_sources: tuple[str, ...] = _setting(("shop", "salesforce"), forms.Words())
    callout_username: str = ""
    callout_password: str = _secret()
    callout_password_previous: str = _secret()
    #: The callout template signs the request body and sends the signature in this header.
    callout_hmac_header: str = _setting("", typed.String(validate=forms.HEADER))
    callout_hmac_secret: str = _secret()
    callout_hmac_secret_previous: str = _secret()
    #: What stands before the signature in the header, such as `sha256=`.
    callout_hmac_prefix: str = ""
    callout_hmac_algorithm: str = _setting(
        "sha256", typed.String(validate=forms.one_of("md5", "sha1", "sha224", "sha256", "sha384", "sha512"))
    )
    callout_hmac_encoding: str = _setting("hex", typed.String(validate=forms.one_of("hex", "base64")))
    #: What is signed, in the template's own words.
    callout_hmac_text: str = _setting("{{Request.Body}}", typed.String(validate=forms.SIGNED))
    #: Or the template sends a shared secret in this header.
    callout_secret_header: str = _setting("", typed.String(validate=forms.HEADER))
    callout_secret: str = _secret()
    callout_secret_previous: str = _secret()
    #: Networks that callouts may come from; none means everywhere.
    callout_ip_allow: tuple[Network, ...] = _setting((), forms.Networks())
    #: How many proxies in front of us are ours, or the networks where they stand.
    trusted_proxies: int | tuple[Network, ...] = _setting(0, forms.Proxies())
    public_url: str = _setting("", typed.String(validate=forms.ADDRESS))
    secret_key: str = _secret(
        "", typed.String(validate=validate.Length(min=32, error="must have at least 32 characters"))
    )
    #: The key before, which still opens what was signed or sealed with it.
    secret_key_previous: str = _secret()
    #: Opens /metrics; empty: closed.
    metrics_token: str = _secret(
        "", typed.String(validate=validate.Length(min=16, error="must have at least 16 characters"))
    )
    #: Whether people may log in to the admin pages by a password of ours.
    password_login: bool = _setting(True, forms.switch())
    #: The OpenID provider that people sign in with, as its discovery document calls itself.
    oidc_issuer: str = _setting("", typed.String(validate=forms.ISSUER))
    oidc_client_id: str = ""
    oidc_client_secret: str = _secret()
    #: What people call it.
    oidc_name: str = _setting("single sign-on", typed.String(validate=forms.LABEL))
    oidc_scopes: tuple[str, ...] = _setting(("openid", "email", "profile"), forms.Scopes())
    #: The claim that says that the email address is the person's.
    oidc_verified_claim: str = "email_verified"
    #: The claim whose values decide the role at each sign-on, and the values that make an operator or a viewer.
    oidc_role_claim: str = ""
    oidc_operators: tuple[str, ...] = _setting((), forms.Words())
    oidc_viewers: tuple[str, ...] = _setting((), forms.Words())
    #: People with an address of these domains are admitted as viewers without having been added.
    oidc_email_domains: tuple[str, ...] = _setting((), forms.Words())
    #: The OpenID provider of partners' users; its ID tokens name the organisation by the claim `lmo:partner_org`.
    partner_oidc_issuer: str = _setting("", typed.String(validate=forms.ISSUER))
    partner_oidc_client_id: str = ""
    partner_oidc_client_secret: str = _secret()
    partner_oidc_name: str = _setting("single sign-on", typed.String(validate=forms.LABEL))
    partner_oidc_scopes: tuple[str, ...] = _setting(("openid", "email", "profile"), forms.Scopes())
    #: Verifies the captcha of partners' shops; empty: that there is a token is all that is asked.
    captcha_secret: str = _secret()
    captcha_verify_url: str = _setting("", typed.String(validate=forms.ADDRESS))
    #: Partners' users log in with a code by email, which this mail server sends; none: they cannot.
    smtp_host: str = _setting("", typed.String(validate=forms.HOST))
    smtp_port: int = _setting(587, typed.Integer(validate=validate.Range(1, 65535)))
    smtp_security: str = _setting("starttls", typed.String(validate=forms.one_of("starttls", "tls", "none")))
    smtp_username: str = ""
    smtp_password: str = _secret()
    mail_from: str = _setting("", typed.String(validate=forms.MAIL_FROM))
    #: Codes stand in the log instead: a trial on this machine.
    partner_code_in_log: bool = _setting(False, forms.switch())
    #: Webhooks go out to these, beside the endpoints made by command: `TYPE=URL`, or `URL` alone for all types.
    webhooks: tuple[str, ...] = _setting((), forms.Words())
    #: What signs them, and what did before.
    webhook_secret: str = _secret()
    webhook_secret_previous: str = _secret()
    #: HTTP Basic for webhooks by the host that they go to: host, user name, password.
    webhook_credentials: tuple[tuple[str, str, str], ...] = _secret((), forms.Credentials())
    #: Networks that webhooks may go to although they are not public, and by plain http.
    webhook_allowed_networks: tuple[Network, ...] = _setting((), forms.Networks())
    tenant_time_zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"), metadata={"form": forms.Zone()})
    evergreen_horizon_months: int = _setting(12, typed.Integer(validate=validate.Range(1, 120)))
    import_unknown: str = _setting("asked", typed.String(validate=forms.one_of("asked", "all")))
    limio_reference_format: str = ""
    safety_share: Decimal = _setting(  # noqa: RUF009 - makes a field, as for the types that ruff knows
        Decimal("0.05"), typed.Decimal(validate=validate.Range(Decimal(0), Decimal(1)))
    )
    #: How orders are placed; Limio's Zuora settings, under its names in `.env.example`.
    order_account_model: str = _setting("1-1", typed.String(validate=forms.one_of("1-1", "1-N")))
    order_collect_payment: bool = _setting(False, forms.switch())
    order_payment_profiles: bool = _setting(False, forms.switch())
    order_advanced_payment_manager: bool = _setting(False, forms.switch())
    order_disable_auto_pay: bool = _setting(False, forms.switch())
    order_refund_cancelled: bool = _setting(False, forms.switch())
    order_invoice_payment_method: str = ""
    order_combine_invoices: bool = _setting(False, forms.switch())
    order_one_subscription: bool = _setting(False, forms.switch())
    order_renewal_removes_old_plan: bool = _setting(True, forms.switch())
    order_gift_reason_code: str = "Gifting"
    order_gift_code_field: str = "GiftCode__c"
    #: The tenant's custom fields that orders may fill, as `Order.Source__c`.
    order_custom_fields: tuple[str, ...] = _setting((), forms.Words())
    #: For how long is kept what changed something (the history with its causes, orders), in days.
    keep_history_days: int = _setting(2555, typed.Integer(validate=validate.Range(30)))
    #: The same of callouts, of runs that changed nothing and of webhooks that were given up.
    keep_callouts_days: int = _setting(90, typed.Integer(validate=validate.Range(14)))
    #: The same of what people did; 0 means for good.
    keep_activity_days: int = _setting(0, typed.Integer(validate=validate.Range(0)))
    wait_limit_seconds: int = _setting(20, typed.Integer(validate=validate.Range(0, 60)))
    #: Where `web` listens: this machine only, where a proxy stands.
    host: str = _setting("127.0.0.1", typed.String(validate=forms.HOST))
    port: int = _setting(8000, typed.Integer(validate=validate.Range(1, 65535)))
    worker_threads: int = _setting(12, typed.Integer(validate=validate.Range(1, 64)))
    #: Workers that `run` starts; 0: one for each processor with PostgreSQL, one with SQLite, which has one writer.
    worker_processes: int = _setting(0, typed.Integer(validate=validate.Range(0, 32)))
    #: What pages and notifications call this installation, and the pages' colour; empty: the tenant's host, in grey.
    environment_name: str = _setting("", typed.String(validate=forms.NAME))
    environment_colour: str = _setting(
        "grey", typed.String(validate=forms.one_of("grey", "green", "blue", "violet", "amber", "red"))
    )
    #: Where traces are sent, by OTLP over HTTP; empty: none are made.
    otel_exporter_otlp_endpoint: str = _setting("", typed.String(validate=forms.COLLECTOR))
    log_format: str = _setting("text", typed.String(validate=forms.one_of("text", "json")))

    def day_at(self, at: int) -> date:
        """The tenant's calendar day at `at`, ms since 1970."""
        return datetime.fromtimestamp(at / 1000, UTC).astimezone(self.tenant_time_zone).date()

    @property
    def secret_keys(self) -> tuple[str, ...]:
        """SECRET_KEY, which signs and seals, and the one before it, which still opens."""
        return (self.secret_key, *([self.secret_key_previous] if self.secret_key and self.secret_key_previous else []))

    @property
    def environment(self) -> str:
        """What this installation is called, on pages and in notifications."""
        return self.environment_name or urlsplit(self.zuora_base_url).hostname or "No tenant"

    @property
    def reaches_zuora(self) -> bool:
        """Whether the tenant's address and credentials are set."""
        return bool(self.zuora_base_url and self.zuora_client_id and self.zuora_client_secret)

    @property
    def sqlite_path(self) -> Path | None:
        """The file of the embedded database, or None where PostgreSQL is used."""
        prefix = "sqlite:///"
        return Path(self.database_url.removeprefix(prefix)) if self.database_url.startswith(prefix) else None


#: Settings that mean something only together.
_PAIRS = (
    ("CAPTCHA_SECRET", "CAPTCHA_VERIFY_URL"),
    ("CALLOUT_USERNAME", "CALLOUT_PASSWORD"),
    ("CALLOUT_HMAC_HEADER", "CALLOUT_HMAC_SECRET"),
    ("CALLOUT_SECRET_HEADER", "CALLOUT_SECRET"),
    ("OIDC_ISSUER", "OIDC_CLIENT_ID"),
    ("OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET"),
    ("PARTNER_OIDC_ISSUER", "PARTNER_OIDC_CLIENT_ID"),
    ("PARTNER_OIDC_CLIENT_ID", "PARTNER_OIDC_CLIENT_SECRET"),
    ("SMTP_HOST", "MAIL_FROM"),
    ("SMTP_USERNAME", "SMTP_PASSWORD"),
)
#: What means nothing, or too much, without another.
_NEEDS = {
    "OIDC_ISSUER": "PUBLIC_URL",
    "OIDC_ROLE_CLAIM": "OIDC_ISSUER",
    "OIDC_OPERATORS": "OIDC_ROLE_CLAIM",
    "OIDC_VIEWERS": "OIDC_ROLE_CLAIM",
    "OIDC_EMAIL_DOMAINS": "OIDC_ISSUER",
    "PARTNER_OIDC_ISSUER": "PUBLIC_URL",
    "SMTP_USERNAME": "SMTP_HOST",
    "WEBHOOKS": "WEBHOOK_SECRET",
    "WEBHOOK_SECRET_PREVIOUS": "WEBHOOK_SECRET",
}


#: A stranger who knows one of these can call as Zuora. Previous ones may be shorter, or they could not be replaced.
_CALLOUT_SECRETS = ("CALLOUT_PASSWORD", "CALLOUT_HMAC_SECRET", "CALLOUT_SECRET")
MIN_SECRET_LENGTH = 16


def _is_on_this_machine(data: Mapping[str, Any]) -> bool:
    """Whether neither Zuora nor anyone else calls from elsewhere: a trial, with an emulated tenant or none."""
    addresses = (data.get("ZUORA_BASE_URL", ""), data.get("PUBLIC_URL", ""))
    here = all(not address or re.match(forms.THIS_MACHINE, address) for address in addresses)
    return here and data.get("HOST", "127.0.0.1") in ("127.0.0.1", "::1", "localhost")


class _Together(Schema):
    """What settings must be together. Unknown names belong to other programs."""

    class Meta:
        unknown = EXCLUDE

    @validates_schema(skip_on_field_errors=False)
    def check_pairs(self, data: dict[str, Any], **_: Any) -> None:
        """One half of a pair does nothing, which its owner must hear rather than find out."""
        halves = [
            (missing, given)
            for pair in _PAIRS
            for missing, given in (pair, pair[::-1])
            if given in data and missing not in data
        ]
        halves += [(missing, given) for given, missing in _NEEDS.items() if given in data and missing not in data]
        if data.get("PASSWORD_LOGIN") is False and "OIDC_ISSUER" not in data:
            halves.append(("OIDC_ISSUER", "PASSWORD_LOGIN=off"))
        if halves:
            raise ValidationError({missing: [f"must be set too, as {given} is"] for missing, given in halves})

    @validates_schema(skip_on_field_errors=True)
    def check_orders(self, data: dict[str, Any], **_: Any) -> None:
        """Zuora's Advanced Payment Manager tells apart the subscriptions of one account."""
        if data.get("ORDER_ADVANCED_PAYMENT_MANAGER") and data.get("ORDER_ACCOUNT_MODEL") != "1-N":
            text = "needs ORDER_ACCOUNT_MODEL=1-N"
            raise ValidationError({"ORDER_ADVANCED_PAYMENT_MANAGER": [text]})

    @validates_schema(skip_on_field_errors=True)
    def check_retention(self, data: dict[str, Any], **_: Any) -> None:
        """A run that changed something outlives the callout that led to it."""
        history = data.get("KEEP_HISTORY_DAYS", Settings.keep_history_days)
        if data.get("KEEP_CALLOUTS_DAYS", Settings.keep_callouts_days) > history:
            raise ValidationError({"KEEP_CALLOUTS_DAYS": [f"must be at most KEEP_HISTORY_DAYS, which is {history}"]})

    @validates_schema(skip_on_field_errors=True)
    def check_strength(self, data: dict[str, Any], **_: Any) -> None:
        """What can be guessed is refused, except where only this machine could guess."""
        if _is_on_this_machine(data):
            return
        if data.get("PARTNER_CODE_IN_LOG"):
            text = "is for a trial on this machine only: who reads the log could log in as any partner"
            raise ValidationError({"PARTNER_CODE_IN_LOG": [text]})
        weak = [name for name in _CALLOUT_SECRETS if 0 < len(data.get(name, "")) < MIN_SECRET_LENGTH]
        if weak:
            text = f"must have at least {MIN_SECRET_LENGTH} characters, because anyone who guesses it can call as Zuora"
            raise ValidationError({name: [text] for name in weak})

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> Settings:
        """A value with our defaults for what was not given."""
        return Settings(**{name.lower(): value for name, value in data.items()})


#: The environment's strings, checked: a name for each setting, with its form.
SettingsSchema = _Together.from_dict(
    {each.name.upper(): each.metadata.get("form") or typed.String() for each in fields(Settings)}, name="SettingsSchema"
)


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Read the settings from `environ`; `NAME_FILE` names a file that holds NAME. Blank counts as absent.

    Raises SettingsInvalid with one line for each problem.
    """
    given, problems = _given(environ)
    try:
        settings = SettingsSchema().load(given)
    except ValidationError as error:
        problems += [f"{name}: {' '.join(texts)}" for name, texts in error.messages_dict.items()]
    if problems:
        raise SettingsInvalid("\n".join(sorted(problems)))
    assert isinstance(settings, Settings)  # noqa: S101 - tells mypy what make() returned
    return settings


#: Our names begin so; what begins so in the environment and is no setting is most likely a typing error.
_PREFIXES = ("CALLOUT_", "KEEP_", "LIMIO_", "OIDC_", "PARTNER_", "SMTP_", "ZUORA_")


def find_unknown(environ: Mapping[str, str], env_file: Mapping[str, str | None]) -> dict[str, str | None]:
    """Names that look like settings and are none, each with the setting that was probably meant (None: no guess).

    In a `.env` file every name counts but those for compose's database, in the environment those with our prefixes.
    """
    known = [each.name.upper() for each in fields(Settings)]
    candidates = {
        *(name for name in env_file if not name.startswith("POSTGRES_")),
        *(name for name in environ if name.startswith(_PREFIXES)),
    }
    unknown = sorted(name for name in candidates if name.removesuffix("_FILE") not in known)
    return {name: next(iter(get_close_matches(name, known, n=1, cutoff=0.7)), None) for name in unknown}


def _given(environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    given: dict[str, str] = {}
    problems: list[str] = []
    for name in (each.name.upper() for each in fields(Settings)):
        value = environ.get(name, "").strip()
        path = environ.get(f"{name}_FILE", "").strip()
        if path and value:
            problems.append(f"{name}: given twice, as {name} and as {name}_FILE; keep one")
        elif path:
            try:
                value = Path(path).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                problems.append(f"{name}_FILE: cannot read the file ({type(error).__name__})")
        if value:
            given[name] = value
    return given, problems
