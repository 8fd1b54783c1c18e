import http from 'node:http';

/** Of so many kept-alive connections, all opened at once and open together: the share that the busiest worker has, 0..1. */
export async function largestShare(url: string, connections: number): Promise<number> {
	const agent = new http.Agent({ keepAlive: true, maxSockets: connections });
	try {
		const pids = await Promise.all(Array.from({ length: connections }, () => processOf(url, agent)));
		const counts = new Map<string, number>();
		for (const pid of pids) counts.set(pid, (counts.get(pid) ?? 0) + 1);
		return Math.max(...counts.values()) / connections;
	} finally {
		agent.destroy();
	}
}

/** The app answers its process id, late enough that no connection is used twice. */
function processOf(url: string, agent: http.Agent): Promise<string> {
	return new Promise((resolve, reject) => {
		const request = http.get(`${url}?ms=100`, { agent }, (response) => {
			let body = '';
			response.setEncoding('utf8').on('data', (part: string) => {
				body += part;
			});
			response.once('end', () => resolve(body)).once('error', reject);
		});
		request.once('error', reject);
	});
}
