import { messageOf } from '../../errors.js';
import type { CommandQuestion } from '../pm2/health-command.js';
import { commandEnvironment } from '../pool/worker-description.js';
import type { Worker } from '../pool/worker.js';
import type { Probe } from '../connection/worker-connection.js';

/** Asks the app's `health.command`, if it has one, about a worker that is well by its own word; its host runs it, as the worker's user. */
export async function askCommand(worker: Worker, word: Probe): Promise<Probe> {
	const { app, host } = worker;
	const { command, timeoutMs } = app.health;
	const [program] = command ?? [];
	if (command === undefined) return word;
	const question: CommandQuestion = { command, cwd: worker.cwd, env: commandEnvironment(worker), timeoutMs };
	try {
		const { code, detail } = await host.client().runCommand(question);
		// Its arguments may hold a secret; a reason is shown to every viewer.
		return { ...word, healthy: code === 0, detail: `health.command ${program} ${detail}` };
	} catch (error) {
		return { ...word, healthy: false, detail: `health.command was not run: ${messageOf(error)}` };
	}
}
