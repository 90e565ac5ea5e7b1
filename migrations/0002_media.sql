-- Media, the tasks that process them, their variants, and the feed of changes.
--
-- Invariants:
-- - A row never points at an object that was not stored first. `original` is stored before a media item
--   leaves the state `uploading`, variants before their rows.
-- - A task is its own outbox entry: it is committed as `queued`, then its message is sent, then `sent_at`
--   is set. If a process dies in between, the sweep finds the task and sends its message.
-- - A claim increments the task's `lease`; results are committed under that number or not at all. Each
--   lease stores its variants under its own names, so that an expired lease can't overwrite what a later
--   one committed. Its leftovers are removed at `cleanup_due_at`.
-- - The changes of a workspace are numbered in commit order, without gaps.

do $$
begin
  create role tirage_worker nologin nosuperuser nobypassrls;
exception
  when duplicate_object or unique_violation then null;
end
$$;

create table media (
  id uuid primary key,
  workspace_id uuid not null references workspace (id) on delete cascade,
  state text not null default 'uploading'
    check (state in ('uploading', 'processing', 'ready', 'failed', 'deleting')),
  -- Declared by the client, then detected from the first bytes.
  kind text not null check (kind in ('photo', 'document', 'video', 'other')),
  content_type text not null,
  filename text not null check (length(filename) between 1 and 255),
  size_bytes bigint not null check (size_bytes > 0),
  -- In hexadecimal. Null until the client has declared it or a function has computed it.
  sha256 text check (sha256 ~ '^[0-9a-f]{64}$'),
  metadata jsonb,
  -- GPS coordinates, in a column of their own because they are private.
  position jsonb,
  -- The failure as a problem document.
  failure jsonb,
  created_at timestamptz not null default now(),
  upload_expires_at timestamptz not null,
  finished_at timestamptz,
  -- When the sweep looks for objects that no row points at.
  cleanup_due_at timestamptz,
  -- In the state `deleting`: until when objects may still arrive.
  cleanup_until timestamptz,
  check (state <> 'failed' or failure is not null),
  check (state <> 'ready' or metadata is not null),
  check (state <> 'deleting' or (cleanup_due_at is not null and cleanup_until is not null))
);

create index media_newest_first on media (workspace_id, id desc) where state <> 'deleting';
create index media_by_content on media (workspace_id, sha256) where state in ('processing', 'ready');
create index media_uploading on media (upload_expires_at) where state = 'uploading';
create index media_to_clean on media (cleanup_due_at) where cleanup_due_at is not null;

create table variant (
  media_id uuid not null references media (id) on delete cascade,
  workspace_id uuid not null references workspace (id) on delete cascade,
  name text not null check (name ~ '^[a-z0-9-]{1,32}$'),
  -- Last part of the object's key, <workspace>/<media>/<object>.
  object text not null,
  content_type text not null,
  width integer not null check (width > 0),
  height integer not null check (height > 0),
  size_bytes bigint not null check (size_bytes > 0),
  sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
  primary key (media_id, name)
);

create table task (
  id uuid primary key,
  workspace_id uuid not null references workspace (id) on delete cascade,
  media_id uuid not null references media (id) on delete cascade,
  kind text not null check (kind in ('photo')),
  state text not null default 'queued' check (state in ('queued', 'running', 'done', 'failed')),
  -- Incremented by a retry, which invalidates the messages of earlier attempts.
  attempt integer not null default 1 check (attempt > 0),
  -- Incremented by each claim.
  lease integer not null default 0,
  leased_until timestamptz,
  -- Number of claims in this attempt.
  claims integer not null default 0,
  sent_at timestamptz,
  failure jsonb,
  created_at timestamptz not null default now(),
  queued_at timestamptz not null default now(),
  finished_at timestamptz,
  unique (media_id, kind),
  check ((state = 'running') = (leased_until is not null)),
  check ((state = 'failed') = (failure is not null))
);

create index task_queued on task (queued_at) where state = 'queued';
create index task_running on task (leased_until) where state = 'running';

-- Results of requests that a client may repeat. `subject` is what the request created.
create table idempotency (
  workspace_id uuid not null references workspace (id) on delete cascade,
  key text not null check (length(key) between 1 and 255),
  -- Hash of method, path and body, to detect that a key is reused for another request.
  fingerprint text not null,
  subject text not null,
  created_at timestamptz not null default now(),
  primary key (workspace_id, key)
);

create index idempotency_age on idempotency (created_at);

-- The feed of changes.
alter table workspace add column last_change bigint not null default 0;

create table change (
  workspace_id uuid not null references workspace (id) on delete cascade,
  sequence bigint not null,
  kind text not null,
  subject uuid not null,
  action text not null check (action in ('created', 'updated', 'deleted')),
  state text,
  created_at timestamptz not null default now(),
  primary key (workspace_id, sequence)
);

create index change_age on change (created_at);

-- Deferred to the end of the transaction, so that the workspace's row is locked for as short a time as
-- possible, and after every other row, which rules out deadlocks. This lock gives sequence numbers and
-- commits the same order.
create function record_change() returns trigger
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
  perform pg_notify('tirage_change', new.workspace_id::text);
  return null;
end
$$;

create constraint trigger media_created after insert on media
  deferrable initially deferred for each row execute function record_change();
create constraint trigger media_updated after update of state on media
  deferrable initially deferred for each row
  when (old.state is distinct from new.state) execute function record_change();
create constraint trigger task_updated after update of state on task
  deferrable initially deferred for each row
  when (old.state is distinct from new.state) execute function record_change();

-- The task that the worker processes: it sees this task and its media item only.
create function current_task() returns uuid
  language sql stable parallel safe
  return nullif(current_setting('tirage.task', true), '')::uuid;

-- `true` in transactions of the sweep, which covers all workspaces.
create function is_sweep() returns boolean
  language sql stable parallel safe
  return coalesce(current_setting('tirage.sweep', true), '') = 'on';

do $$
declare
  name text;
begin
  foreach name in array array['media', 'variant', 'task', 'idempotency', 'change'] loop
    execute format('alter table %I enable row level security', name);
    execute format('alter table %I force row level security', name);
    execute format('create policy own_workspace on %I using (workspace_id = current_workspace())', name);
    execute format('create policy sweep on %I to tirage_api using (is_sweep())', name);
  end loop;
  -- record_change runs as the owner, whichever role makes the change.
  execute format('create policy feed on change to %I using (true)', current_user);
  execute format('create policy feed on workspace to %I using (true)', current_user);
end
$$;

create policy own_task on task to tirage_worker using (id = current_task());
create policy own_task on media to tirage_worker
  using (id = (select media_id from task where task.id = current_task()));
create policy own_task on variant to tirage_worker
  using (media_id = (select media_id from task where task.id = current_task()));

grant select, insert, update, delete on media, task to tirage_api;
grant select, delete on variant, change to tirage_api;
grant select, insert, delete on idempotency to tirage_api;

grant select on media, task, variant to tirage_worker;
grant update (state, kind, content_type, sha256, metadata, position, failure, finished_at, cleanup_due_at)
  on media to tirage_worker;
grant update (state, lease, leased_until, claims, sent_at, failure, finished_at) on task to tirage_worker;
grant insert, update, delete on variant to tirage_worker;
