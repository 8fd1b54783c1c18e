import { once } from 'node:events';
import { connect } from 'node:tls';
import { hosts, type Host, type SceneFleet } from './fleet.js';

/** The certificate that a stranger is shown: what a node presents in fact. */
async function presented(fleet: SceneFleet, host: Host): Promise<{ serial: string; issuer: string }> {
	const socket = connect({ ...fleet.addressOf(host), rejectUnauthorized: false });
	socket.on('error', () => undefined);
	await once(socket, 'secureConnect');
	const { serialNumber, issuer } = socket.getPeerCertificate();
	socket.destroy();
	return { serial: serialNumber, issuer: JSON.stringify(issuer) };
}

export const allPresented = (fleet: SceneFleet) => Promise.all(hosts.map((host) => presented(fleet, host)));
