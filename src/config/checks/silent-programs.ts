import type { HttpWorkerConfig } from '../schema.js';
import type { Conflict } from './conflicts.js';
import type { KeyPath } from '../document/faults.js';

type At = (...path: (string | number)[]) => KeyPath;

/** An empty list of ports says that an app listens nowhere on purpose; without the key it may listen wherever it likes. */
export const isSilent = ({ ports }: Pick<HttpWorkerConfig, 'ports'>): boolean => ports?.length === 0;

/** What counts as proof depends on whether an app listens: an answer on its port, or its own word and a command. */
export function proofConflicts(app: HttpWorkerConfig, at: At): Conflict[] {
	return isSilent(app) ? silentConflicts(app, at) : listeningConflicts(app, at);
}

function silentConflicts({ health, interpreter, reuse_port }: HttpWorkerConfig, at: At): Conflict[] {
	const conflicts: Conflict[] = [];
	for (const key of ['path', 'port'] as const) {
		if (health[key] === undefined) continue;
		conflicts.push({
			at: [at('health', key)],
			expected: `no health.${key}, since ports: [] says that the app listens nowhere`,
			got: String(health[key]),
			hint: 'health.command asks a program that does not listen; or name its port in ports',
		});
	}
	if (health.ready && interpreter !== 'node') {
		conflicts.push({
			at: [at('health', 'ready')],
			expected: "no health.ready, since only a program of interpreter node can say process.send('ready')",
			got: 'true',
			hint: 'let health.command exit 0 once the program is ready',
		});
	}
	if (reuse_port) {
		conflicts.push({
			at: [at('reuse_port')],
			expected: 'no reuse_port, since ports: [] says that the app listens nowhere',
			got: 'true',
		});
	}
	return conflicts;
}

function listeningConflicts({ health }: HttpWorkerConfig, at: At): Conflict[] {
	const expected = (key: string) => `ports: [] beside health.${key}, which is for an app that listens nowhere`;
	const hint = 'an app that listens is asked where it listens: see health.path';
	return [
		...(health.ready ? [{ at: [at('health', 'ready')], expected: expected('ready'), got: 'true', hint }] : []),
		...(health.command.length > 0
			? [{ at: [at('health', 'command')], expected: expected('command'), got: health.command[0] ?? '', hint }]
			: []),
	];
}
