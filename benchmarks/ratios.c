/* The values of the five programs of ratios.py, by hand; no derivatives. */

#include <math.h>
#include <stddef.h>

enum { STEPS = 50, RATES = 30, PERIODS = 15, DAYS = 1000 };

static double norm_cdf(double x)
{
    return 0.5 * erfc(-0.7071067811865476 * x);
}

/* spot, strike, rate, volatility, maturity */
double black_scholes(const double *x, const double *data)
{
    const double root = x[3] * sqrt(x[4]);
    const double d1 = (log(x[0] / x[1]) + (x[2] + 0.5 * x[3] * x[3]) * x[4]) / root;
    (void)data;
    return x[0] * norm_cdf(d1) - x[1] * exp(-x[2] * x[4]) * norm_cdf(d1 - root);
}

/* forward, strike, maturity, alpha, beta, rho, nu */
double sabr(const double *x, const double *data)
{
    const double beta = x[4], rho = x[5], nu = x[6], rest = 1.0 - beta;
    const double logarithm = log(x[0] / x[1]), power = pow(x[0] * x[1], 0.5 * rest);
    const double z = nu / x[3] * power * logarithm;
    const double root = sqrt(1.0 - 2.0 * rho * z + z * z);
    const double chi = log((root + z - rho) / (1.0 - rho));
    const double square = rest * rest * logarithm * logarithm;
    const double spread = 1.0 + square / 24.0 + square * square / 1920.0;
    const double moved = rest * rest * x[3] * x[3] / (24.0 * power * power)
                         + rho * beta * nu * x[3] / (4.0 * power)
                         + (2.0 - 3.0 * rho * rho) * nu * nu / 24.0;
    (void)data;
    return x[3] / (power * spread) * z / chi * (1.0 + moved * x[2]);
}

/* spot, strike, rate, variance, reversion, level, volatility, correlation; two normals a step */
double heston(const double *x, const double *normals)
{
    const double dt = 1.0 / STEPS, root_dt = sqrt(dt), across = sqrt(1.0 - x[7] * x[7]);
    double logarithm = log(x[0]), variance = x[3];
    for (int t = 0; t < STEPS; t++) {
        const double above = variance > 0.0 ? variance : 0.0, root = sqrt(above) * root_dt;
        const double first = normals[2 * t], second = normals[2 * t + 1];
        logarithm += (x[2] - 0.5 * above) * dt + root * first;
        variance += x[4] * (x[5] - above) * dt
                    + x[6] * root * (x[7] * first + across * second);
    }
    const double gain = exp(logarithm) - x[1];
    return exp(-x[2]) * (gain > 0.0 ? gain : 0.0);
}

/* forward rates and their volatilities; a normal for each period */
double market_model(const double *x, const double *normals)
{
    const double delta = 0.25, root = sqrt(delta), strike = 0.045;
    double rates[RATES];
    for (int i = 0; i < RATES; i++)
        rates[i] = x[i];
    for (int n = 0; n < PERIODS; n++) {
        double drift = 0.0;
        for (int i = n + 1; i < RATES; i++) {
            const double volatility = x[RATES + i - n - 1];
            const double scaled = delta * volatility;
            drift += scaled * rates[i] / (1.0 + delta * rates[i]);
            rates[i] *= exp(scaled * drift + volatility * (root * normals[n] - 0.5 * scaled));
        }
    }
    double bond = 1.0 / (1.0 + delta * rates[PERIODS]), annuity = delta * bond;
    for (int i = PERIODS + 1; i < RATES; i++) {
        bond /= 1.0 + delta * rates[i];
        annuity += delta * bond;
    }
    const double gain = 1.0 - bond - strike * annuity;
    return gain > 0.0 ? gain : 0.0;
}

/* mean, omega, alpha, beta; the returns of the days */
double garch(const double *x, const double *returns)
{
    double variance = x[1] / (1.0 - x[2] - x[3]), total = log(variance);
    for (int day = 0; day < DAYS; day++) {
        const double shock = returns[day] - x[0], square = shock * shock;
        total += log(variance) + square / variance;
        variance = x[1] + x[2] * square + x[3] * variance;
    }
    return 0.5 * total;
}

typedef double (*Program)(const double *, const double *);

/* The values for rows of inputs, or of data, side by side; a stride of 0 is the same for all. */
void values(Program program, size_t rows, const double *x, size_t inputs, const double *data,
            size_t size, double *out)
{
    for (size_t row = 0; row < rows; row++)
        out[row] = program(x + row * inputs, data + row * size);
}
