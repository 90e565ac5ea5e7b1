-- The table functions that the live feed is read with. The feed id is the workspace's id.
--
-- Both choose the workspace for the rest of the transaction. They run with the caller's rights, so
-- row-level security binds them.

create function live_frontier(feed text)
  returns table (last bigint, oldest bigint)
  language plpgsql volatile security invoker set search_path = public, pg_temp as $$
begin
  perform set_config('tirage.workspace', feed, true);
  return query
    select workspace.last_change,
      (select min(change.sequence) from change where change.workspace_id = workspace.id)
    from workspace where workspace.id = feed::uuid;
end
$$;

-- `json` and not `jsonb`, which would change the order of the keys.
create function live_changes(feed text, after bigint, most bigint)
  returns table (sequence bigint, data json)
  language plpgsql volatile security invoker set search_path = public, pg_temp as $$
begin
  perform set_config('tirage.workspace', feed, true);
  return query
    select change.sequence,
      json_build_object('kind', change.kind, 'id', change.subject, 'action', change.action,
        'state', change.state, 'at', change.created_at)
    from change
    where change.workspace_id = feed::uuid and change.sequence > after
    order by change.sequence limit most;
end
$$;

revoke execute on function live_frontier, live_changes from public;
grant execute on function live_frontier, live_changes to tirage_api;
