-- A guest book: its entries, and the two table functions of the live feed.

do $$
begin
  create role guestbook nologin nosuperuser nobypassrls;
exception
  when duplicate_object or unique_violation then null;
end
$$;

-- The numbers have no gaps; of two transactions that insert the same one, the primary key refuses one.
create table entry (
  number bigint primary key,
  text text not null check (text <> '')
);

-- Admissions to the feed: a test counts them, and sets how long they last. A negative number refuses them.
create table admission (
  at timestamptz not null default now()
);
create table admission_setting (
  seconds integer
);

create function book_frontier(book text) returns table (last bigint, oldest bigint)
  language sql stable
  as $$ select coalesce(max(number), 0), min(number) from entry where book = 'the book' $$;

create function book_entries(book text, after bigint, most bigint)
  returns table (sequence bigint, data jsonb)
  language sql stable
  as $$
    select number, jsonb_build_object('text', text) from entry
    where book = 'the book' and number > after order by number limit most
  $$;

revoke execute on function book_frontier, book_entries from public;
grant execute on function book_frontier, book_entries to guestbook;
grant select, insert on entry to guestbook;
grant insert on admission to guestbook;
grant select on admission_setting to guestbook;
