/* The Asian option of asian.py with its reverse pass written by hand.
 *
 * It computes sixteen price paths at a time: every inner loop runs over the lanes of one block, and
 * gcc turns it into vector instructions, including calls of exp where -ffast-math lets it use the
 * vector library.
 */

#include <math.h>
#include <stddef.h>

enum { STEPS = 50, LANES = 16, OUTPUTS = 8 };
enum { SPOT, STRIKE, RATE, VARIANCE, REVERSION, LEVEL, VOLATILITY };

static const double DT = 1.0 / STEPS;

/* The values of the steps of one block that the reverse pass needs. */
typedef struct {
    double shock[STEPS][LANES], root[STEPS][LANES], variance[STEPS][LANES];
    double sign[STEPS][LANES], growth[STEPS][LANES], spot[STEPS][LANES];
} Block;

static void forward(Block *b, const double *m, const double *normals, double total[LANES])
{
    const double root_dt = sqrt(DT);
    double spot[LANES], variance[LANES];
    for (int l = 0; l < LANES; l++) {
        spot[l] = m[SPOT];
        variance[l] = m[VARIANCE];
        total[l] = 0.0;
        for (int t = 0; t < STEPS; t++)
            b->shock[t][l] = root_dt * normals[l * STEPS + t];
    }
    for (int t = 0; t < STEPS; t++)
        for (int l = 0; l < LANES; l++) {
            double root = sqrt(variance[l]), move = root * b->shock[t][l];
            double growth = exp((m[RATE] - 0.5 * variance[l]) * DT + move);
            double drift = m[REVERSION] * (m[LEVEL] - variance[l]) * DT;
            double next = variance[l] + drift + m[VOLATILITY] * move;
            b->root[t][l] = root;
            b->variance[t][l] = variance[l];
            b->sign[t][l] = copysign(1.0, next);
            b->growth[t][l] = growth;
            variance[l] = fabs(next);
            spot[l] *= growth;
            b->spot[t][l] = spot[l];
            total[l] += spot[l];
        }
}

static void reverse(const Block *b, const double *m, const double total[LANES],
                    double out[OUTPUTS][LANES])
{
    const double discount = exp(-m[RATE]), keep = 1.0 - m[REVERSION] * DT;
    double spot_bar[LANES], variance_bar[LANES], total_bar[LANES];
    for (int l = 0; l < LANES; l++) {
        double gain = total[l] * DT - m[STRIKE], paid = gain > 0.0 ? discount : 0.0;
        out[0][l] += paid * gain;
        out[1 + STRIKE][l] -= paid;
        out[1 + RATE][l] -= paid * gain;
        total_bar[l] = paid * DT;
        spot_bar[l] = variance_bar[l] = 0.0;
    }
    for (int t = STEPS - 1; t >= 0; t--)
        for (int l = 0; l < LANES; l++) {
            spot_bar[l] += total_bar[l];
            double exponent_bar = spot_bar[l] * b->spot[t][l];
            double next_bar = variance_bar[l] * b->sign[t][l];
            double root = b->root[t][l], shock = b->shock[t][l];
            double move_bar = exponent_bar + m[VOLATILITY] * next_bar;
            out[1 + RATE][l] += exponent_bar * DT;
            out[1 + REVERSION][l] += next_bar * (m[LEVEL] - b->variance[t][l]) * DT;
            out[1 + LEVEL][l] += next_bar * m[REVERSION] * DT;
            out[1 + VOLATILITY][l] += next_bar * root * shock;
            spot_bar[l] *= b->growth[t][l];
            variance_bar[l] =
                next_bar * keep - 0.5 * DT * exponent_bar + 0.5 * move_bar * shock / root;
        }
    for (int l = 0; l < LANES; l++) {
        out[1 + SPOT][l] += spot_bar[l];
        out[1 + VARIANCE][l] += variance_bar[l];
    }
}

/* Sums the value and the seven derivatives over the price paths, a multiple of sixteen. */
void value_and_grad(const double *market, const double *normals, size_t paths, double *sums)
{
    double lanes[OUTPUTS][LANES] = {{0.0}};
    for (size_t p = 0; p < paths; p += LANES) {
        Block block;
        double total[LANES];
        forward(&block, market, normals + p * STEPS, total);
        reverse(&block, market, total, lanes);
    }
    for (int k = 0; k < OUTPUTS; k++) {
        sums[k] = 0.0;
        for (int l = 0; l < LANES; l++)
            sums[k] += lanes[k][l];
    }
}
