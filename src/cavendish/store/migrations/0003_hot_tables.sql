-- The two tables that every create and finish writes name their account and key without a foreign key: the checks cost
-- 28 of the database's 71 microseconds a create, and could find nothing wrong, since both rows are locked by the very
-- transaction that writes the reference. What a foreign key would still give, that nobody deletes an account or a key
-- under its tasks and entries, these triggers give for nothing.

ALTER TABLE tasks DROP CONSTRAINT tasks_account_id_fkey;
ALTER TABLE tasks DROP CONSTRAINT tasks_key_id_fkey;
ALTER TABLE credit_entries DROP CONSTRAINT credit_entries_account_id_fkey;

CREATE FUNCTION refuse_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'rows of % are never deleted: tasks and entries name them', TG_TABLE_NAME;
END $$;

CREATE TRIGGER accounts_stay BEFORE DELETE ON accounts FOR EACH ROW EXECUTE FUNCTION refuse_delete();
CREATE TRIGGER accounts_stay_whole BEFORE TRUNCATE ON accounts FOR EACH STATEMENT EXECUTE FUNCTION refuse_delete();
CREATE TRIGGER api_keys_stay BEFORE DELETE ON api_keys FOR EACH ROW EXECUTE FUNCTION refuse_delete();
CREATE TRIGGER api_keys_stay_whole BEFORE TRUNCATE ON api_keys FOR EACH STATEMENT EXECUTE FUNCTION refuse_delete();
