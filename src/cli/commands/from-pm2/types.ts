import type { HttpWorkerEntry } from '../../../config/schema.js';

/** What became of one field of PM2's configuration. */
export interface Remark {
	/** As PM2 names the app; null: of the file as a whole. */
	app: string | null;
	/** As the file spells it. */
	field: string;
	outcome: 'taken' | 'changed' | 'left out';
	/** What stands in the configuration now, or why nothing does. Never a value of the environment. */
	text: string;
}

/** The fields of one app as PM2 documents them, by their canonical names. */
export type Pm2App = Readonly<Record<string, unknown>>;

/** Where PM2's configuration came from. */
export interface Pm2Source {
	/** A list of apps, one app, or a section with `apps`. */
	content: unknown;
	/** Folder that relative paths are of. */
	folder: string;
	/** How it was read, for the person who asked. */
	notice: string | null;
}

/** What PM2's configuration comes to. */
export interface Migration {
	apps: HttpWorkerEntry[];
	remarks: Remark[];
}

/** Collects the remarks on one app. */
export class Remarks {
	readonly list: Remark[] = [];
	constructor(private readonly app: string | null) {}
	taken(field: string, text: string): void {
		this.add(field, 'taken', text);
	}
	changed(field: string, text: string): void {
		this.add(field, 'changed', text);
	}
	leftOut(field: string, text: string): void {
		this.add(field, 'left out', text);
	}
	private add(field: string, outcome: Remark['outcome'], text: string): void {
		this.list.push({ app: this.app, field, outcome, text });
	}
}

/** The app cannot run under Rollcall without a change; the message says why and what to do. */
export class NotTaken extends Error {
	override readonly name = 'NotTaken';
	constructor(
		readonly field: string,
		message: string,
	) {
		super(message);
	}
}
