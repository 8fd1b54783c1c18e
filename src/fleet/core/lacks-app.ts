import { RollcallError } from '../../errors.js';

/** None of the apps that were asked for is in the node's file, or runs there. */
export class LacksApp extends RollcallError {
	constructor(
		apps: readonly string[],
		/** The apps of the file. */
		readonly names: string[],
	) {
		const known = names.join(', ') || 'none';
		super('unavailable', `http_workers has no app '${apps.join("' or '")}', and none runs here; it has: ${known}.`);
	}
}
