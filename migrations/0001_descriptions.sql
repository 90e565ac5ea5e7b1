-- Workspaces and descriptions. Every row belongs to a workspace.
--
-- Row-level security binds every role, the tables' owner included. A transaction chooses its workspace
-- with set_config('tirage.workspace', <id>, true); without that it sees no rows. This catches a
-- forgotten WHERE, not a hijacked function.

-- Roles belong to the whole server, so another database may have created this one. `tirage migrate`
-- sets its login and password.
do $$
begin
  create role tirage_api nologin nosuperuser nobypassrls;
exception
  -- unique_violation: two databases of one server are migrated at the same moment.
  when duplicate_object or unique_violation then null;
end
$$;

create table workspace (
  id uuid primary key,
  created_at timestamptz not null default now()
);

-- The built-in workspace, which owns everything until accounts exist.
insert into workspace (id) values ('00000000-0000-7000-8000-000000000001');

create table description (
  id bigint generated always as identity primary key,
  workspace_id uuid not null references workspace (id) on delete cascade,
  text text not null check (text <> ''),
  created_at timestamptz not null default now()
);

create index description_newest_first on description (workspace_id, id desc);

-- Null, which matches no row, unless the transaction has chosen a workspace.
create function current_workspace() returns uuid
  language sql stable parallel safe
  return nullif(current_setting('tirage.workspace', true), '')::uuid;

alter table workspace enable row level security;
alter table workspace force row level security;
create policy own_workspace on workspace
  using (id = current_workspace());

alter table description enable row level security;
alter table description force row level security;
create policy own_workspace on description
  using (workspace_id = current_workspace())
  with check (workspace_id = current_workspace());

grant select on workspace to tirage_api;
grant select, insert on description to tirage_api;
