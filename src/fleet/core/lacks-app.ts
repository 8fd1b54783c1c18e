import { RollcallError } from '../../errors.js';

/** The app that was asked for is neither in the node's file nor running there. */
export class LacksApp extends RollcallError {
	constructor(
		app: string,
		/** The apps of the file. */
		readonly names: string[],
	) {
		const known = names.join(', ') || 'none';
		super('unavailable', `http_workers has no app '${app}', and none runs here; it has: ${known}.`);
	}
}
