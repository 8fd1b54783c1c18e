import { statSync } from 'node:fs';
import { assertHttpInDate, readHttpCertificate } from '../../config/checks/http-certificate.js';
import { loadConfig } from '../../config/load.js';
import { assertCertificateInDate, readMembership } from '../../fleet/links/membership.js';
import type { AppChanges, WorkerRow } from '../../workers/types.js';
import { configFileDefault } from '../client/places.js';
import type { Context } from '../context.js';
import { Client } from '../client/client.js';
import { changesText } from '../output/render.js';
import { writeMessage, writeResult } from '../output/terminal.js';
import { count } from '../output/format.js';

/** A daemon that is there answers at once; one that hangs is no reason to wait. */
const answerTimeoutMs = 2_000;

/** Checks a configuration as the daemon would at its start; its faults are thrown (exit 2). */
export async function validate({ options, terminal, session }: Context): Promise<number> {
	// The file is meant for the units, where `user:` is possible, not for this shell.
	const config = loadConfig({ file: options.config ?? configFileDefault, env: process.env, underSystemd: true });
	// Keys and certificates are looked into as well: whether they are there says little about whether they fit.
	assertCertificateInDate(readMembership(config), Date.now());
	const { http } = config.operations_api;
	if (http?.tls) assertHttpInDate(await readHttpCertificate(http.tls), http.tls.cert, Date.now());
	const apps = config.http_workers.map(({ name }) => name);
	const warnings = config.http_workers.flatMap(scriptWarning);
	const document = {
		valid: true,
		file: config.source.file,
		node: config.node.name,
		apps,
		peers: (config.cluster?.peers ?? []).map(({ name }) => name).filter((name) => name !== config.node.name),
		changes: await changesHere(config.operations_api.socket.path, apps, session.signal),
		warnings,
	};
	const has = `node ${document.node}, ${count(document.apps.length, 'app')}, ${count(document.peers.length, 'peer')}`;
	const changes = document.changes === null ? null : changesText(document.changes);
	writeResult(terminal, document, () =>
		[`ok: ${document.file} (${has})`, ...(changes === null ? [] : [`a roll of http_workers ${changes}`])].join('\n'),
	);
	if (!terminal.json) for (const warning of warnings) writeMessage(terminal, `warning: ${warning}`);
	return 0;
}

/**
 * A script that is not there is no fault of the configuration: the daemon starts without it, and a release may come
 * later. A user who may not look into its folder cannot tell.
 */
function scriptWarning({ name, script }: { name: string; script: string }): string[] {
	try {
		if (statSync(script).isFile()) return [];
		return [`${name}: its script ${script} is no file, so no worker of it can start`];
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		if (code === 'EACCES' || code === 'EPERM') {
			return [`${name}: you may not look at its script ${script}, so whether it is there is not known`];
		}
		return [`${name}: its script ${script} is not there (${code}), so no worker of it can start`];
	}
}

/** Against what the daemon of this configuration runs now; null if there is none, or it does not say. */
async function changesHere(path: string, apps: readonly string[], signal: AbortSignal): Promise<AppChanges | null> {
	const client = new Client({
		target: { kind: 'socket', path },
		credentials: null,
		timeoutMs: answerTimeoutMs,
		signal,
	});
	try {
		const rows = (await client.operation('list_workers')) as WorkerRow[];
		const running = new Set(rows.map(({ app }) => app));
		return {
			added: apps.filter((name) => !running.has(name)),
			removed: [...running].filter((name) => !apps.includes(name)),
		};
	} catch {
		return null;
	} finally {
		client.close();
	}
}
