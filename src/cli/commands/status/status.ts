import { faults, RollcallError } from '../../../errors.js';
import { connect } from '../../client/connect.js';
import type { Context } from '../../context.js';
import { writeResult } from '../../output/terminal.js';
import { gather } from './gather.js';
import { statusText, wrongText } from './text.js';
import { isSilent } from './types.js';
import { watchStatus } from './watch.js';

export interface StatusFlags {
	node?: string;
	watch?: boolean;
	check?: boolean;
}

/** Exits with 1 when a node that was asked does not answer, and with `--check` when anything is wrong. */
export async function status({ options, terminal, session }: Context<StatusFlags>): Promise<number> {
	const { node: asked, watch = false, check = false } = options;
	if (watch && check)
		throw new RollcallError('usage', '--watch does not end, and --check ends at once; give one of them.');
	const { client, words } = await connect(options, session.signal);
	try {
		const look = () => gather(client, { words, asked }, Date.now());
		if (watch) return await watchStatus(terminal, look, client.where, session.signal);
		const now = Date.now();
		const document = await look();
		writeResult(terminal, document, (page) => {
			if (!check) return statusText(document, now, page);
			return document.wrong.length > 0 ? wrongText(document, now) : 'nothing is wrong';
		});
		const isMissing = (document.nodes ?? []).some(isSilent);
		return isMissing || (check && document.wrong.length > 0) ? faults.unavailable.exit : 0;
	} finally {
		client.close();
	}
}
