"""The database's own refusal to edit or delete an audit entry, as SQL for the migration. Both databases, one rule.

The only change let through is the forgetting of what is personal: then everything else must be as it was.
"""

from django.apps.registry import Apps
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

TABLE = "courses_auditentry"
_KEPT = (
    "number", "kind", "what", "facts", "at", "source", "source_pk", "who_id", "course_id", "about_id", "recorded_at",
    "sealed", "digest",
)  # fmt: skip
_SAYS = "the audit is only ever added to"
_FORGETS = "NEW.erased_at IS NOT NULL AND NEW.why = '' AND NEW.subject = '' AND NEW.salt = '' AND NEW.address IS NULL"


def _same(word: str) -> str:
    return " AND ".join(f"NEW.{column} {word} OLD.{column}" for column in _KEPT)


# As an integrity error on both, because that is what it is: a constraint on change.
POSTGRESQL = f"""
CREATE FUNCTION {TABLE}_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND {_FORGETS} AND {_same("IS NOT DISTINCT FROM")} THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '{_SAYS}' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER {TABLE}_guard BEFORE UPDATE OR DELETE ON {TABLE} FOR EACH ROW EXECUTE FUNCTION {TABLE}_guard();
"""
SQLITE = (
    f"CREATE TRIGGER {TABLE}_no_update BEFORE UPDATE ON {TABLE} WHEN NOT ({_FORGETS} AND {_same('IS')}) "
    f"BEGIN SELECT RAISE(ABORT, '{_SAYS}'); END",
    f"CREATE TRIGGER {TABLE}_no_delete BEFORE DELETE ON {TABLE} BEGIN SELECT RAISE(ABORT, '{_SAYS}'); END",
)


def put_on(_apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(POSTGRESQL)
    else:
        for statement in SQLITE:
            schema_editor.execute(statement)


def take_off(_apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"DROP TRIGGER {TABLE}_guard ON {TABLE}; DROP FUNCTION {TABLE}_guard()")
    else:
        schema_editor.execute(f"DROP TRIGGER {TABLE}_no_update")
        schema_editor.execute(f"DROP TRIGGER {TABLE}_no_delete")
