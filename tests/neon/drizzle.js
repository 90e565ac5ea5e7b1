// drizzle-orm: a migration, rows and batches over HTTP, and a transaction over a WebSocket.

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { after, before, describe, test } from 'node:test';
import { neon, Pool } from '@neondatabase/serverless';
import { and, arrayContains, desc, eq, relations, sql as fragment } from 'drizzle-orm';
import * as http from 'drizzle-orm/neon-http';
import { migrate } from 'drizzle-orm/neon-http/migrator';
import * as serverless from 'drizzle-orm/neon-serverless';
import {
  bigint,
  integer,
  jsonb,
  numeric,
  pgEnum,
  pgTable,
  serial,
  text,
  timestamp,
  uuid,
  varchar,
} from 'drizzle-orm/pg-core';

import { databaseUrl } from './stack.js';

const orientation = pgEnum('orientation', ['portrait', 'landscape']);

const photographers = pgTable('photographers', {
  id: serial().primaryKey(),
  name: text().notNull(),
  email: varchar({ length: 320 }).notNull().unique(),
});

const photographs = pgTable('photographs', {
  id: uuid().defaultRandom().primaryKey(),
  photographerId: integer('photographer_id')
    .notNull()
    .references(() => photographers.id, { onDelete: 'cascade' }),
  title: text().notNull(),
  orientation: orientation().notNull(),
  takenAt: timestamp('taken_at', { withTimezone: true }),
  exif: jsonb().notNull().default({}),
  tags: text().array().notNull().default([]),
  price: numeric({ precision: 10, scale: 2 }),
  prints: bigint({ mode: 'bigint' }).notNull().default(0n),
});

const photographersRelations = relations(photographers, ({ many }) => ({
  photographs: many(photographs),
}));
const photographsRelations = relations(photographs, ({ one }) => ({
  photographer: one(photographers, {
    fields: [photographs.photographerId],
    references: [photographers.id],
  }),
}));

const schema = { photographers, photographs, photographersRelations, photographsRelations };
const overHttp = http.drizzle(neon(databaseUrl()), { schema });
const pool = new Pool({ connectionString: databaseUrl() });
const overWebSocket = serverless.drizzle(pool, { schema });

const migrationsFolder = fileURLToPath(new URL('migrations', import.meta.url));

const lighthouse = {
  title: 'A lighthouse at dusk: "é" 🎞️',
  orientation: 'portrait',
  takenAt: new Date('2024-02-29T18:30:00.123Z'),
  exif: { iso: 400, lens: ['50mm', null], nested: { quote: '"' } },
  tags: ['sea', 'a,b', '{}', ''],
  price: '1234.50',
  prints: 9007199254740993n,
};

describe('drizzle', () => {
  before(() => migrate(overHttp, { migrationsFolder }));
  after(() => pool.end());

  test('migrations are applied once', async () => {
    await migrate(overHttp, { migrationsFolder });
    const { rows } = await overHttp.execute(
      fragment`select count(*)::int as n from drizzle.__drizzle_migrations`,
    );
    assert.deepEqual(rows, [{ n: 2 }]);
  });

  test('rows are created, read, updated and deleted over HTTP', async () => {
    const [ada] = await overHttp
      .insert(photographers)
      .values({ name: 'Ada', email: 'ada@example.com' })
      .returning();
    const [made] = await overHttp
      .insert(photographs)
      .values({ ...lighthouse, photographerId: ada.id })
      .returning();
    assert.deepEqual(made, { ...lighthouse, photographerId: ada.id, id: made.id });

    const mine = and(eq(photographs.photographerId, ada.id), arrayContains(photographs.tags, ['sea']));
    assert.deepEqual(await overHttp.select().from(photographs).where(mine), [made]);
    assert.deepEqual(await overWebSocket.select().from(photographs).where(mine), [made]);

    const joined = await overHttp
      .select({ title: photographs.title, by: photographers.name })
      .from(photographs)
      .innerJoin(photographers, eq(photographs.photographerId, photographers.id))
      .orderBy(desc(photographs.takenAt));
    assert.deepEqual(joined, [{ title: lighthouse.title, by: 'Ada' }]);

    const nested = await overHttp.query.photographers.findFirst({
      with: { photographs: { columns: { title: true, exif: true } } },
    });
    assert.deepEqual(nested.photographs, [{ title: lighthouse.title, exif: lighthouse.exif }]);

    const [changed] = await overHttp
      .update(photographs)
      .set({ price: null, takenAt: null, tags: [], prints: fragment`${photographs.prints} + 1` })
      .where(mine)
      .returning();
    assert.deepEqual(changed, { ...made, price: null, takenAt: null, tags: [], prints: made.prints + 1n });

    const { rowCount } = await overHttp.delete(photographers).where(eq(photographers.id, ada.id));
    assert.equal(rowCount, 1);
    assert.equal(await overHttp.$count(photographs), 0);
  });

  test('a batch is atomic', async () => {
    const [[ben], all] = await overHttp.batch([
      overHttp.insert(photographers).values({ name: 'Ben', email: 'ben@example.com' }).returning(),
      overHttp.query.photographers.findMany(),
    ]);
    assert.deepEqual(all, [ben]);

    const failed = overHttp.batch([
      overHttp.insert(photographers).values({ name: 'Cleo', email: 'cleo@example.com' }),
      overHttp.insert(photographers).values({ name: 'Dan', email: 'ben@example.com' }),
    ]);
    await assert.rejects(failed, (error) => {
      const { code, constraint, detail } = error.cause ?? error;
      assert.deepEqual(
        { code, constraint, detail },
        {
          code: '23505',
          constraint: 'photographers_email_unique',
          detail: 'Key (email)=(ben@example.com) already exists.',
        },
      );
      return true;
    });
    assert.deepEqual(await overHttp.select().from(photographers), [ben]);
    await overHttp.delete(photographers);
  });

  test('an interactive transaction over a WebSocket', async () => {
    const made = await overWebSocket.transaction(
      async (tx) => {
        const [eve] = await tx
          .insert(photographers)
          .values({ name: 'Eve', email: 'eve@example.com' })
          .returning();
        const [photograph] = await tx
          .insert(photographs)
          .values({ ...lighthouse, photographerId: eve.id })
          .returning();
        // Other connections don't see it yet.
        assert.equal(await overHttp.$count(photographers), 0);
        await assert.rejects(
          tx.transaction(async (inner) => {
            await inner.delete(photographs);
            inner.rollback();
          }),
        );
        assert.deepEqual(await tx.select().from(photographs), [photograph]);
        return photograph;
      },
      { isolationLevel: 'serializable', accessMode: 'read write', deferrable: true },
    );
    assert.deepEqual(await overHttp.select().from(photographs), [made]);

    await assert.rejects(
      overWebSocket.transaction(async (tx) => {
        await tx.delete(photographers);
        throw new Error('changed my mind');
      }),
      /changed my mind/,
    );
    assert.equal(await overHttp.$count(photographers), 1);
  });
});
