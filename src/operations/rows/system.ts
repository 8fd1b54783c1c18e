import { list } from '../fields.js';
import { operation } from '../operation.js';
import { systemAttributes } from '../../system/information/attributes.js';

export const systemOperations = [
	operation({
		name: 'system_information',
		access: 'super_user',
		fields: {
			attributes: list({ summary: 'Which attributes; all if none are given.', values: systemAttributes }),
		},
		summary: 'Describes this host, its processes, workers and links.',
		answer: {
			type: 'object',
			properties: Object.fromEntries(systemAttributes.map((name) => [name, {}])),
		},
		handler({ node }, { attributes = [] }) {
			const wanted = attributes.length > 0 ? [...new Set(attributes)] : systemAttributes;
			return node.system.information(wanted);
		},
	}),
];
