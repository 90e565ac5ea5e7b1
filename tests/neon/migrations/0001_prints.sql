ALTER TABLE "photographs" ADD COLUMN "prints" bigint DEFAULT 0 NOT NULL;
--> statement-breakpoint
CREATE INDEX "photographs_taken_at_index" ON "photographs" USING btree ("taken_at");
