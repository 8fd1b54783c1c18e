import { loadConfig } from '../config/load.js';
import { readMembership } from '../fleet/membership.js';
import { configFileDefault } from './places.js';
import type { Context } from './context.js';
import { writeResult } from './terminal.js';
import { count } from './words.js';

/** Checks a configuration as the daemon would at its start; its faults are thrown (exit 2). */
export async function validate({ options, terminal }: Context): Promise<number> {
	// An operator's shell checks what is meant for the units: there `user:` is possible.
	const config = loadConfig({ file: options.config ?? configFileDefault, env: process.env, underSystemd: true });
	// Keys and certificates are looked into as well: whether they are there says little about whether they fit.
	readMembership(config);
	const document = {
		valid: true,
		file: config.source.file,
		node: config.node.name,
		apps: config.http_workers.map(({ name }) => name),
		peers: (config.cluster?.peers ?? []).map(({ name }) => name).filter((name) => name !== config.node.name),
	};
	const has = `node ${document.node}, ${count(document.apps.length, 'app')}, ${count(document.peers.length, 'peer')}`;
	writeResult(terminal, document, () => `ok: ${document.file} (${has})`);
	return 0;
}
