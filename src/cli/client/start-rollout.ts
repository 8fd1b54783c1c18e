import { RollcallError } from '../../errors.js';
import type { Client } from './client.js';

/** A rolling restart of the fleet's http workers. A daemon of before 1.0 knows it by the longer name alone. */
export async function startRollout(client: Client, fields: Readonly<Record<string, unknown>>): Promise<unknown> {
	try {
		return await client.operation('start_rollout', fields);
	} catch (error) {
		if (!(error instanceof RollcallError) || error.message !== "Operation 'start_rollout' not found") throw error;
		return client.operation('restart_service', { service: 'http_workers', replicated: true, ...fields });
	}
}
