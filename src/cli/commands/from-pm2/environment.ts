import { environmentName } from '../../../config/schema.js';
import { nodeOptionsFault } from '../../../config/checks/node-options.js';
import { scalarText } from './words.js';
import type { Pm2App, Remarks } from './types.js';

/** What PM2's app had in its environment, as texts. */
export function environmentOf(app: Pm2App, chosen: string | null, remarks: Remarks): Record<string, string> {
	const environment: Record<string, string> = {};
	const chosenField = chosen === null ? null : `env_${chosen}`;
	add(environment, 'env', app['env'], remarks);
	if (app['port'] !== undefined) {
		environment['PORT'] = scalarText(app['port']);
		remarks.changed('port', 'env.PORT');
	}
	for (const field of Object.keys(app)) {
		if (!/^env_./.test(field) || field === 'env_file') continue;
		if (field === chosenField) add(environment, field, app[field], remarks);
		else remarks.leftOut(field, `not asked for: --env ${field.slice('env_'.length)} takes it over env`);
	}
	if (app['env_file'] !== undefined) {
		remarks.leftOut(
			'env_file',
			'PM2 does not read it; in Rollcall env_file names KEY=VALUE lines, in a file of mode 0600',
		);
	}
	if (app['filter_env'] !== undefined) {
		remarks.changed('filter_env', 'workers never get the environment of a shell: env and env_file have all of it');
	}
	return environment;
}

function add(environment: Record<string, string>, field: string, given: unknown, remarks: Remarks): void {
	if (given === undefined || given === null) return;
	if (typeof given !== 'object' || Array.isArray(given)) {
		remarks.leftOut(field, 'it is no section of variables');
		return;
	}
	const taken: string[] = [];
	for (const [name, value] of Object.entries(given)) {
		const text = typeof value === 'object' ? JSON.stringify(value) : scalarText(value);
		const fault = faultOf(name, text);
		if (value === null || value === undefined) remarks.leftOut(`${field}.${name}`, 'it has no value');
		else if (fault !== null) remarks.leftOut(`${field}.${name}`, fault);
		else {
			environment[name] = text;
			taken.push(name);
		}
	}
	if (taken.length > 0) remarks.taken(field, `env: ${taken.join(', ')}`);
}

function faultOf(name: string, text: string): string | null {
	if (!environmentName.safeParse(name).success) {
		return 'a variable has a name of letters, digits and underscores that does not begin with ROLLCALL_';
	}
	if (text.includes('\0')) return 'it holds the character NUL';
	const fault = name === 'NODE_OPTIONS' ? nodeOptionsFault(text) : null;
	return fault === null ? null : `expected ${fault.expected}, got ${fault.got}`;
}
