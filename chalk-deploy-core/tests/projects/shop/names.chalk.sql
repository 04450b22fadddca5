-- resolves: User
-- source: PG
-- cron: 1h
select id, name, birthday from users where id = ${user.id}
