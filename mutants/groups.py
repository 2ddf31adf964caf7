"""Which modules are mutated, and whose tests are theirs: those that run together, in one process."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_CLIENTS = "clients/python/"


@dataclass(frozen=True, slots=True)
class Group:
    """Modules, and the folders and files with the tests of which those that run a line are chosen."""

    modules: tuple[Path, ...]
    tests: tuple[str, ...]


def _group(package: str, modules: str, *tests: str) -> Group:
    return Group(tuple(Path(package) / f"{name}.py" for name in modules.split()), tests)


GROUPS = (
    _group("webhooks_app/core", "ids signing retry_schedule passwords", "tests/core", "tests/accounts"),
    _group("webhooks_app/core", "encryption outcomes rate_limit", "tests/core"),
    _group(
        "webhooks_app/endpoints",
        "destinations",
        *("tests/worker/test_signed_requests.py", "tests/worker/test_dispatcher.py"),
        *("tests/worker/test_send_data.py", "tests/worker/test_unsendable_deliveries.py"),
        *("tests/endpoints/test_destinations.py", "tests/endpoints/test_custom_headers.py"),
        "tests/events/test_fan_out.py",
    ),
    _group(
        "webhooks_app/db",
        "attempt_inserts delivery_queue traffic_sql",
        *("tests/db/test_delivery_queue.py", "tests/worker/test_recording.py"),
        *("tests/worker/test_attempt_rows.py", "tests/worker/test_traffic_counters.py"),
        *("tests/worker/test_unsendable_deliveries.py", "tests/deliveries/test_cancellations.py"),
    ),
    _group(
        "webhooks_app/db",
        "delivery_inserts event_values bulk_sql",
        *("tests/db/test_event_inserts.py", "tests/events/test_fan_out.py", "tests/events/test_accept.py"),
        *("tests/events/test_fan_out_runs.py", "tests/worker/test_recording.py"),
        "tests/db/test_event_conditions.py",
    ),
    _group(
        "webhooks_app/web/api",
        "authentication event_input",
        *("tests/web/api/test_authentication.py", "tests/web/api/test_producer.py"),
        *("tests/web/api/test_errors.py", "tests/web/api/test_event_input.py"),
        *("tests/web/api/test_keys_of_batches.py", "tests/server/test_event_intake.py"),
    ),
    _group(
        "webhooks_app/server",
        "event_intake",
        *("tests/server/test_event_intake.py", "tests/server/test_access_log.py"),
    ),
    _group(
        "webhooks_app/transport",
        "address_rules allow_list host_names target_policy target_ports target_urls",
        *("tests/transport/test_address_rules.py", "tests/transport/test_host_names.py"),
        *("tests/transport/test_target_policy.py", "tests/transport/test_target_urls.py"),
        *("tests/transport/test_allow_list.py", "tests/transport/test_target_ports.py"),
    ),
    _group(
        "webhooks_app/transport",
        "connection_guard local_addresses resolved_target",
        *("tests/transport/test_connection_guard.py", "tests/transport/test_local_addresses.py"),
        *("tests/transport/test_resolved_target.py", "tests/transport/test_idle_connections.py"),
        *("tests/transport/test_watched_sockets.py", "tests/transport/test_tls_errors.py"),
    ),
    _group(
        "webhooks_app/accounts",
        "api_tokens token_scopes second_factors totp recovery_codes passkeys id_tokens",
        *(
            "tests/accounts",
            "tests/web/sign_in/test_second_factor_page.py",
            "tests/web/sign_in/test_passkey_pages.py",
        ),
        *("tests/web/test_tokens_page.py", "tests/web/sign_in/test_lying_provider.py"),
        *("tests/web/sign_in/test_single_sign_on_page.py", "tests/web/api/test_authentication.py"),
    ),
    _group("webhooks_app/deliveries", "signing_grants", "tests/web/test_signed_deliveries.py"),
    _group(
        "webhooks_app/deliveries",
        "erasure/database_copies erasure/erased_event erasure/one_event erasure/open_deliveries"
        " erasure/payload_rows payload_retention",
        *("tests/deliveries/erasure", "tests/deliveries/test_payload_retention.py"),
        "tests/deliveries/test_late_content.py",
        *("tests/web/test_erased_payloads.py", "tests/worker/test_replayed_deliveries.py"),
        *("tests/deliveries/test_recovery_runs.py", "tests/cli/test_erasure.py"),
    ),
    _group(
        "webhooks_app/listeners",
        "attempt_reports due_requests ending listener_sessions past_events",
        *("tests/listeners", "tests/web/api/test_listeners.py", "tests/web/test_listeners.py"),
        "tests/server/test_long_polls.py",
    ),
    _group(
        "webhooks_app/worker",
        "attempt_counts attempt_rows attempt_spans claimed_delivery claimer claims concurrency"
        " constant_headers damaged_payloads database_backoff delivery_updates dispatcher"
        " due_endpoints endpoint_counters endpoint_scan engine unsendable_deliveries outcome_buffer postponed"
        " endpoint_rate_limits recording retry_decision send_data signed_requests traffic_counters",
        "tests/worker",
    ),
    _group(
        "webhooks_app/db",
        "claim_sql",
        *(
            "tests/worker/test_claims.py",
            "tests/worker/test_claimer.py",
            "tests/worker/test_named_claims.py",
            "tests/worker/test_manual_attempts.py",
        ),
    ),
    _group(
        "webhooks_app/db",
        "attempt_heads packed_response_heads",
        *("tests/db/test_attempt_heads.py", "tests/db/test_packed_response_heads.py"),
    ),
    _group(
        "webhooks_app/db",
        "driver_sql",
        *("tests/db/test_driver_sql.py", "tests/db/test_driver_errors.py", "tests/worker/test_claims.py"),
    ),
    _group(
        "webhooks_app/db",
        "engines postgresql_sessions sqlite_sessions",
        *("tests/db/test_engines.py", "tests/db/test_postgresql_sessions.py"),
        *("tests/db/test_sqlite_sessions.py", "tests/db/test_deadlines.py", "tests/db/test_round_trips.py"),
        *("tests/db/test_circuit_breaker.py", "tests/db/test_transient_errors.py"),
        *("tests/db/test_write_refusals.py", "tests/db/test_driver_errors.py"),
    ),
    _group(
        "webhooks_app/jobs",
        "redis_round_trip wake_flag wake_waiter wake_ups",
        *("tests/jobs/test_wake_ups.py", "tests/jobs/test_wake_waiter.py", "tests/worker/test_claimer.py"),
        "tests/worker/test_named_claims.py",
        *("tests/jobs/test_redis_round_trip.py", "tests/jobs/test_wake_flag.py"),
        "tests/jobs/test_listener_messages.py",
    ),
    _group(
        "webhooks_app/events",
        "accept batch_keys fan_out fan_out_plan fan_out_runs group_commit pending_submission"
        " process_allowances request_hash shared_allowances submissions subscribers",
        *("tests/events", "tests/web/api/test_producer.py", "tests/web/api/test_rate_limit_headers.py"),
        *("tests/web/api/test_keys_of_batches.py", "tests/server/test_event_intake.py"),
    ),
    _group(
        "webhooks_app/db",
        "event_inserts",
        *("tests/db/test_event_inserts.py", "tests/events", "tests/web/api/test_producer.py"),
    ),
    _group(
        _CLIENTS + "avra_client",
        "claimed_rows failing_turns relay relay_outcomes relay_state outbox_rows outbox_state",
        *("tests/avra_client/test_relay.py", "tests/avra_client/test_relay_rounds.py"),
        *("tests/avra_client/test_relay_outcomes.py", "tests/avra_client/test_failing_rows.py"),
        *("tests/avra_client/test_outbox_rows.py", "tests/avra_client/test_mysql.py"),
        "tests/avra_client/test_failing_turns.py",
    ),
    _group(
        "webhooks_app",
        "client",
        *("tests/test_client.py", "tests/test_client_batches.py", "tests/test_client_deadlines.py"),
        "tests/test_client_retries.py",
    ),
)

_CATALOG = (
    "Of the catalog, which a deployment loads before it accepts anything; its tests are tables of cases."
)
_SCHEMAS = "Whether data fulfils a schema, which is decided in two ways that are held to agree in every case."
# Modules beside those above that are not mutated, each with the reason.
LEFT_OUT = {
    "webhooks_app/worker/engine_limits.py": "Numbers only, each a decision and no slip.",
    "webhooks_app/events/accept_counts.py": "Figures for operators; nothing that is sent depends on them.",
    "webhooks_app/events/accept_spans.py": "Traces for operators; nothing that is sent depends on them.",
    "webhooks_app/events/catalog.py": _CATALOG,
    "webhooks_app/events/catalog_changes.py": _CATALOG,
    "webhooks_app/events/catalog_files.py": _CATALOG,
    "webhooks_app/events/event_types.py": _CATALOG,
    "webhooks_app/events/schema_predicates.py": _SCHEMAS,
    "webhooks_app/events/schema_violations.py": _SCHEMAS,
    "webhooks_app/events/toml_lines.py": _CATALOG,
    "webhooks_app/events/test_events.py": "Of the Test tab: attempted once, counted nowhere.",
    "webhooks_app/events/value_backfill.py": "Of an upgrade, once; what is sent does not depend on it.",
}


def name_of(module: Path) -> str:
    """Return the name by which a module is imported."""
    return ".".join(Path(module.as_posix().removeprefix(_CLIENTS)).with_suffix("").parts)
