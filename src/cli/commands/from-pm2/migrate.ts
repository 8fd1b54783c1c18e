import { basename, extname } from 'node:path';
import { type Configured, configurationFaults } from '../../../config/publish/template.js';
import { RollcallError } from '../../../errors.js';
import { readEcosystemFile } from './sources/ecosystem-file.js';
import { notesOf } from './report.js';
import { readRunningPm2 } from './sources/running.js';
import { entryOf, type Surroundings } from './app.js';
import { canonicalName, sectionsWithoutCounterpart } from './fields.js';
import { type Migration, NotTaken, type Pm2App, Remarks } from './types.js';

const appsMax = 128;
const nameLengthMax = 31;

/** Takes over PM2's file, or without one the running PM2. */
export async function migrateFrom(
	file: string | null,
	around: Omit<Surroundings, 'folder'>,
	signal: AbortSignal,
): Promise<Migration & { notes: string[]; notice: string | null }> {
	const source = file === null ? await readRunningPm2(signal) : await readEcosystemFile(file, signal);
	const migration = migrate(source.content, { ...around, folder: source.folder });
	return { ...migration, notes: notesOf(migration.remarks), notice: source.notice };
}

/** What the apps of PM2 come to: entries that pass validate, and a remark on every field. */
export function migrate(content: unknown, around: Surroundings): Migration {
	const { apps, others } = appsOf(content);
	refuseUnknownEnvironment(apps, around.environment);
	const migration: Migration = { apps: [], remarks: [] };
	for (const given of apps.slice(0, appsMax)) addApp(migration, given, around);
	const file = new Remarks(null);
	for (const section of others) {
		file.leftOut(section, sectionsWithoutCounterpart[section] ?? 'it is no section that PM2 documents');
	}
	if (apps.length > appsMax) file.leftOut('apps', `${apps.length - appsMax} more: a node has at most ${appsMax} apps`);
	if (migration.apps.length > 0) {
		file.changed('env', 'workers get env and env_file alone, not the variables of the shell that PM2 was started from');
	}
	return { apps: migration.apps, remarks: [...migration.remarks, ...file.list] };
}

/** PM2 takes a section with `apps`, a list of apps, or one app. */
function appsOf(content: unknown): { apps: Record<string, unknown>[]; others: string[] } {
	const expected = 'expected apps as PM2 documents them: {apps: [{script: …}]}';
	const isSection = (value: unknown): value is Record<string, unknown> =>
		typeof value === 'object' && value !== null && !Array.isArray(value);
	const list = isSection(content) ? (content['apps'] ?? content['pm2'] ?? content) : content;
	const apps: unknown[] = Array.isArray(list) ? list : [list];
	const isOneApp = list === content && isSection(content);
	if (apps.length === 0 || !apps.every(isSection) || (isOneApp && !Object.keys(content).some(namesScript))) {
		throw new RollcallError('usage', `There is no app to take over: ${expected}.`);
	}
	const others =
		isSection(content) && !isOneApp ? Object.keys(content).filter((key) => key !== 'apps' && key !== 'pm2') : [];
	return { apps, others };
}

const namesScript = (field: string): boolean => canonicalName(field) === 'script';

/** A mistyped `--env` must not take the wrong variables over. */
function refuseUnknownEnvironment(apps: readonly Record<string, unknown>[], environment: string | null): void {
	if (environment === null || apps.some((app) => app[`env_${environment}`] !== undefined)) return;
	const known = [...new Set(apps.flatMap((app) => Object.keys(app).filter((key) => /^env_./.test(key))))]
		.filter((key) => key !== 'env_file')
		.map((key) => key.slice('env_'.length));
	const which = known.length === 0 ? 'no app has an environment beside env' : `there are ${known.join(', ')}`;
	throw new RollcallError('usage', `No app has env_${environment}: ${which}.`);
}

function addApp(migration: Migration, given: Record<string, unknown>, around: Surroundings): void {
	const app: Pm2App = Object.fromEntries(
		// A canonical spelling that stands beside an alias wins, as the later of two equal keys.
		Object.entries(given)
			.sort(([one], [other]) => Number(canonicalName(one) === one) - Number(canonicalName(other) === other))
			.map(([field, value]) => [canonicalName(field), value]),
	);
	const title = titleOf(app, migration.apps.length);
	const remarks = new Remarks(title);
	try {
		const name = nameOf(app, title, migration, remarks);
		const entry = entryOf(app, name, around, remarks);
		const faults = configurationFaults({ apps: [...migration.apps, entry] } satisfies Configured);
		if (faults !== null) throw new NotTaken('app', `it makes no valid configuration: ${faults}`);
		migration.apps.push(entry);
		migration.remarks.push(...remarks.list);
	} catch (error) {
		if (!(error instanceof NotTaken)) throw error;
		const alone = new Remarks(title);
		alone.leftOut(error.field, `the whole app is left out: ${error.message}`);
		migration.remarks.push(...alone.list);
	}
}

/** As PM2 names it: without a name, after its script. */
function titleOf(app: Pm2App, index: number): string {
	const prefix = typeof app['name_prefix'] === 'string' ? app['name_prefix'] : '';
	if (typeof app['name'] === 'string' && app['name'] !== '') return prefix + app['name'];
	if (typeof app['name'] === 'number') return prefix + String(app['name']);
	const script = typeof app['script'] === 'string' ? app['script'] : '';
	return prefix + (basename(script, extname(script)) || `app-${index + 1}`);
}

/** A name of Rollcall: small letters, digits and dashes, once only. */
function nameOf(app: Pm2App, title: string, { apps }: Migration, remarks: Remarks): string {
	const plain = title
		.toLowerCase()
		.replace(/[^a-z0-9]+/g, '-')
		.replace(/^-+|-+$/g, '')
		.slice(0, nameLengthMax);
	const wanted = plain === '' || plain === 'constructor' ? 'app' : plain;
	const isTaken = (name: string) => apps.some((one) => one.name === name);
	let name = wanted;
	for (let number = 2; isTaken(name); number += 1) {
		name = `${wanted.slice(0, nameLengthMax - String(number).length - 1)}-${number}`;
	}
	if (name === app['name']) remarks.taken('name', `name: ${name}`);
	else remarks.changed('name', `name: ${name}, of small letters, digits and dashes`);
	if (app['name_prefix'] !== undefined) remarks.taken('name_prefix', 'it is part of the name');
	return name;
}
