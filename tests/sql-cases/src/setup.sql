create role sql_client login password 'secret';
-- The default of one second would only make the cases slower.
alter role sql_client set deadlock_timeout = '50ms';
create schema authorization sql_client;
set role sql_client;

create table parent (id int primary key);
create table child (id int primary key, parent int constraint child_has_parent references parent);
create table kept (id int);

-- Two doctors on call, one of which must stay: the textbook example of write skew.
create table duty (who text primary key, on_call bool);
insert into duty values ('a', true), ('b', true);
create sequence duty_arrivals;

create table account (id int primary key, balance int);
insert into account values (1, 0), (2, 0);
create sequence account_arrivals;

create table counter (n int);
insert into counter values (0);
create sequence counter_ready;
create sequence counter_done;

create sequence began;

-- Returns how often nextval was called. Sequences aren't transactional: all connections see each call.
create function reached(place regclass) returns bigint language plpgsql as $$
declare n bigint;
begin
    execute format('select case when is_called then last_value else 0 end from %s', place) into n;
    return n;
end $$;

create function await(place regclass, number bigint) returns void language plpgsql as $$
begin
    while reached(place) < number loop
        perform pg_sleep(0.002);
    end loop;
end $$;

-- Returns when two callers have arrived. Later callers don't wait.
create function meet(place regclass) returns void language plpgsql as $$
begin
    perform nextval(place);
    perform await(place, 2);
end $$;
