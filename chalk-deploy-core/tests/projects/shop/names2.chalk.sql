-- resolves: User
-- source: PG
-- type: offline
-- incremental:
--   mode: row
--   lookback_period: 60m
--   incremental_column: updated_at
select id, name, birthday from users
