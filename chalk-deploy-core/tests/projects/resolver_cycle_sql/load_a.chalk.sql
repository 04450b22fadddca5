-- resolves: User
-- source: PG
select id, a from users where id = ${user.id}
