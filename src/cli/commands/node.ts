import { connect } from '../client/connect.js';
import type { Context } from '../context.js';
import { clean, writeMessage, writeResult } from '../output/terminal.js';

interface Answer {
	node: string;
	availability: string | null;
}

/** Takes a node out of its load balancers, or puts it back; its workers go on either way. */
export async function setNode(
	{ options, terminal, session }: Context,
	verb: 'drain' | 'ready',
	node: string | undefined,
): Promise<number> {
	const { client, words } = await connect(options, session.signal);
	try {
		const answer = (await client.operation(`${verb}_node`, node === undefined ? {} : { node })) as Answer;
		const isOut = answer.availability === 'Unavailable';
		const stands = isOut ? 'is not ready for load balancers' : 'is ready as far as its workers are';
		writeResult(terminal, answer, () => clean(`${answer.node} ${stands}`));
		if (isOut) {
			const rest = 'Its workers serve on. It stays so until its daemon starts again, or until:';
			writeMessage(terminal, `${rest}\n  rollcall node ready ${answer.node}${words}`);
		}
		return 0;
	} finally {
		client.close();
	}
}
