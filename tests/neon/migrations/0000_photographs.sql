CREATE TYPE "orientation" AS ENUM('portrait', 'landscape');
--> statement-breakpoint
CREATE TABLE "photographers" (
	"id" serial PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"email" varchar(320) NOT NULL,
	CONSTRAINT "photographers_email_unique" UNIQUE("email")
);
--> statement-breakpoint
CREATE TABLE "photographs" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"photographer_id" integer NOT NULL,
	"title" text NOT NULL,
	"orientation" "orientation" NOT NULL,
	"taken_at" timestamp with time zone,
	"exif" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"tags" text[] DEFAULT '{}' NOT NULL,
	"price" numeric(10, 2)
);
--> statement-breakpoint
ALTER TABLE "photographs" ADD CONSTRAINT "photographs_photographer_id_photographers_id_fk" FOREIGN KEY ("photographer_id") REFERENCES "photographers"("id") ON DELETE cascade ON UPDATE no action;
