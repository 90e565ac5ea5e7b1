-- Workspaces, to one of which every row belongs, and descriptions.
--
-- Row-level security holds for everybody, the tables' owner included. A transaction says whose rows
-- it is about with set_config('tirage.workspace', <id>, true); without that it sees none. This
-- catches a forgotten WHERE, not a hijacked function.

-- Roles belong to the whole server: another database may have made this one. `tirage migrate` gives
-- it its login and password.
do $$
begin
  create role tirage_api nologin nosuperuser nobypassrls;
exception
  -- The second when two databases of one server are brought up to date at the same moment.
  when duplicate_object or unique_violation then null;
end
$$;

create table workspace (
  id uuid primary key,
  created_at timestamptz not null default now()
);

-- Until there are accounts, this one owns everything.
insert into workspace (id) values ('00000000-0000-7000-8000-000000000001');

create table description (
  id bigint generated always as identity primary key,
  workspace_id uuid not null references workspace (id) on delete cascade,
  text text not null check (text <> ''),
  created_at timestamptz not null default now()
);

create index description_newest_first on description (workspace_id, id desc);

-- Null, and so nobody's, when the transaction has not said it.
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
