-- Adds indexes for the filters of the list, reduces each role's rights to what it uses, and removes a
-- lock that the feeds of all workspaces shared.

create index media_by_state on media (workspace_id, state, id desc) where state <> 'deleting';
create index media_by_kind on media (workspace_id, kind, id desc) where state <> 'deleting';

-- The worker must not see a workspace by choosing it: permissive policies add up.
alter policy own_workspace on workspace to tirage_api;
alter policy own_workspace on description to tirage_api;
alter policy own_workspace on media to tirage_api;
alter policy own_workspace on variant to tirage_api;
alter policy own_workspace on task to tirage_api;
alter policy own_workspace on idempotency to tirage_api;
alter policy own_workspace on change to tirage_api;

-- The API detects the kind of a media item and records sent messages.
revoke update (kind) on media from tirage_worker;
revoke update (sent_at) on task from tirage_worker;

-- As in 0002, without `pg_notify`: the router polls and does not listen, and each transaction that
-- notifies takes a lock of the whole server while it commits, so that all commits queue for it.
create or replace function record_change() returns trigger
  language plpgsql security definer set search_path = public, pg_temp as $$
declare
  made text := case tg_op when 'INSERT' then 'created' else 'updated' end;
  next bigint;
begin
  if new.state = 'deleting' then
    if old.state = 'deleting' then
      return null;
    end if;
    made := 'deleted';
  end if;
  update workspace set last_change = last_change + 1
    where id = new.workspace_id returning last_change into next;
  -- The workspace itself is being deleted.
  if next is null then
    return null;
  end if;
  insert into change (workspace_id, sequence, kind, subject, action, state)
    values (new.workspace_id, next, tg_table_name, new.id, made, new.state);
  return null;
end
$$;
