import { RollcallError } from '../../errors.js';
import type { RolloutView } from '../../rollout/types.js';
import type { Client } from './client.js';

/** How many rollouts are looked through for the one that is meant. */
export const searchedMax = 100;
/** The beginning of an id, of at least four characters; a whole one has 36. */
const beginning = /^[0-9a-f][0-9a-f-]{3,34}$/;

/** Whether this was typed for the id: whole, or its beginning. */
export const isTypedFor = (id: string, typed: string): boolean =>
	typed === id || (beginning.test(typed) && id.startsWith(typed));

/** The id that begins so; what begins none is for the daemon to judge, and what begins several is a mistake of usage. */
export async function fullId(client: Client, typed: string): Promise<string> {
	if (!beginning.test(typed)) return typed;
	const views = (await client.operation('list_rollouts', { limit: searchedMax })) as RolloutView[];
	const found = views.map(({ id }) => id).filter((id) => id.startsWith(typed));
	if (found.length > 1) {
		throw new RollcallError('usage', `Several rollouts begin with ${typed}; say which: ${found.join(', ')}`);
	}
	return found[0] ?? typed;
}
